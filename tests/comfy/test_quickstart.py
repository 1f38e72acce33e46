"""The whole way, as a newcomer takes it: the demo command, its files, and everything that can be wrong with a photo or a machine."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from chibi_avatar import quickstart
from chibi_avatar.commands import FAILED, INTERRUPTED, USAGE
from chibi_avatar.headless.sync import SyncClient

FILES = {*quickstart.FILES, "report.json"}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "chibi_avatar", "demo", *map(str, arguments)]


def demo(root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=root, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    """NASA's public-domain portrait of Eileen Collins."""
    from PIL import Image
    from skimage.data import astronaut

    path = tmp_path_factory.mktemp("photo") / "astronaut.jpg"
    Image.fromarray(astronaut()).save(path, quality=92)
    return path


@pytest.fixture(scope="module")
def readme_run(root, photo, tmp_path_factory):
    """The demo line of the README with its photo and folder replaced, run once; the folder and the finished process."""
    lines = re.findall(
        r"^python3 -m (chibi_avatar demo .*--photo.*)$", (root / "README.md").read_text(encoding="utf-8"), re.M
    )
    assert lines, "the README shows no demo with a photo"
    words = shlex.split(lines[0])
    out = tmp_path_factory.mktemp("demo")
    words[words.index("--photo") + 1] = str(photo)
    if "--out" in words:
        del words[words.index("--out") : words.index("--out") + 2]
    done = subprocess.run(
        [sys.executable, "-m", *words, "--out", str(out), "--json"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out, done


def test_the_readme_demo_leaves_its_six_files(readme_run):
    """The first thing a newcomer types would not give what the README promises."""
    out, done = readme_run
    assert {path.name for path in out.iterdir()} == FILES
    printed = json.loads(done.stdout)
    assert printed == json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert printed["warnings"] == []
    for name, file in printed["files"].items():
        content = (out / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])


def test_photo_and_words_both_reach_the_character(readme_run):
    """The selfie would be read and then ignored, or drown what the person said."""
    character = json.loads(
        json.loads((readme_run[0] / "report.json").read_text(encoding="utf-8"))["reports"]["Character"]
    )
    sources = {source["source"] for source in character["evidence"].values()}
    assert {"photo", "words"} <= sources


def test_the_pictures_are_pictures_and_the_models_are_models(readme_run):
    """A file would be there by name and open nowhere."""
    import numpy as np
    from PIL import Image

    out, _ = readme_run
    with Image.open(out / "avatar.png") as image:
        assert image.size == (1024, 1024)
        assert np.asarray(image.convert("RGB")).reshape(-1, 3).std(0).max() > 20
    with Image.open(out / "turntable.png") as image:
        assert image.size == (2048, 1280)
    for name in ("avatar.vrm", "avatar.glb"):
        content = (out / name).read_bytes()
        assert content[:4] == b"glTF" and int.from_bytes(content[8:12], "little") == len(content)
    assert len((out / "avatar.vrm").read_bytes()) <= 8_000_000


PINK = ("粉色双马尾、穿校服、微笑的女孩", "pink", "twin_tails")
BOY = ("a boy with short black hair and glasses in a red hoodie", "black", None)


@pytest.mark.parametrize(
    ("words", "color", "style", "diffusion"),
    [(*PINK, True), (*BOY, True), (*PINK, False)],
    ids=["zh", "en", "without diffusion"],
)
def test_the_hair_that_was_asked_for_is_in_character_picture_and_texture(
    server, tmp_path, words, color, style, diffusion
):
    """The avatar would be cute, and somebody else."""
    import numpy as np
    from PIL import Image

    report = quickstart.make(quickstart.Request(words, None, None, tmp_path, diffusion), server)
    character = json.loads(report["reports"]["Character"])
    assert character["hair"]["color"]["name"] == color
    if style:
        assert character["hair"]["style"] == style
    wanted = np.array([int(character["hair"]["color"]["hex"][i : i + 2], 16) for i in (1, 3, 5)], float)
    for name in ("avatar.png", "atlas.png"):
        with Image.open(tmp_path / name) as image:
            pixels = np.asarray(image.convert("RGB"), float).reshape(-1, 3)
        near = np.linalg.norm(pixels - wanted, axis=1) < 60
        assert near.mean() > 0.02, (
            f"{name}: {near.mean():.1%} of the pixels are near {character['hair']['color']['hex']}"
        )


def test_the_same_words_give_the_same_bytes(server, tmp_path):
    """Nobody could make their avatar again."""
    runs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        runs.append(quickstart.make(quickstart.Request("a girl with blue hair", None, None, tmp_path / name), server))
    hashes = [{name: file["sha256"] for name, file in run["files"].items()} for run in runs]
    assert hashes[0] == hashes[1]


def bad_photos(folder: Path, portrait: Path) -> dict[str, tuple[Path, bool]]:
    """Name → (file, whether a face can be found in it)."""
    import numpy as np
    from PIL import Image

    with Image.open(portrait) as opened:
        image = opened.convert("RGB")
    made: dict[str, tuple[Path, bool]] = {}

    def save(name: str, picture: Image.Image, face: bool, suffix: str = ".png", **options: object) -> None:
        path = folder / f"{name}{suffix}"
        picture.save(path, **options)
        made[name] = (path, face)

    save("greyscale", image.convert("L"), True)
    save("rgba", image.convert("RGBA"), True)
    save("sixteen_bit", Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), True)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    save("exif_rotated", image.rotate(90, expand=True), True, ".jpg", exif=rotated)
    save("many_faces", Image.fromarray(np.concatenate([np.asarray(image)] * 3, axis=1)), True)
    save("no_face", Image.fromarray(np.full((256, 256, 3), (40, 90, 60), np.uint8)), False)
    save("one_pixel", Image.new("RGB", (1, 1)), False)
    (folder / "text.jpg").write_text("not a picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.jpg").write_bytes(portrait.read_bytes()[:2000])
    made |= {
        name: (folder / file, False)
        for name, file in (("text", "text.jpg"), ("empty", "empty.png"), ("cut", "cut.jpg"))
    }
    return made


def test_every_kind_of_photo_is_read_or_named_in_the_report(server, photo, tmp_path):
    """A phone's odd file would stop the whole job, or be dropped without a word."""
    workflow = quickstart.load_workflow()
    warnings: dict[str, list[str]] = {}
    expected = bad_photos(tmp_path, photo)
    with SyncClient(server.url, patience=6.0) as client:
        for name, (path, _) in expected.items():
            request = quickstart.Request("a girl", path, None, tmp_path)
            said: list[str] = []
            uploaded = quickstart.upload_photo(client, request, workflow, said)
            if uploaded is not None:
                prompt = quickstart.fill(workflow, request, uploaded)
                result = client.run(
                    prompt,
                    targets=[
                        quickstart.node_called(prompt, "What was understood"),
                        quickstart.node_called(prompt, "Face found"),
                    ],
                )
                problem = quickstart.face_problem(result.texts.get(quickstart.node_called(prompt, quickstart.FACE), []))
                said += [problem] if problem else []
            warnings[name] = said
    for name, (_, has_face) in expected.items():
        assert bool(warnings[name]) != has_face, f"{name}: {warnings[name]}"


def test_a_bad_photo_degrades_to_the_words_and_says_so(server, tmp_path):
    """One unreadable file would cost a person the avatar that their words describe."""
    (tmp_path / "selfie.jpg").write_bytes(b"\xff\xd8 not really")
    report = quickstart.make(
        quickstart.Request("a girl with pink hair", tmp_path / "selfie.jpg", None, tmp_path), server
    )
    assert len(report["warnings"]) == 1 and "selfie.jpg" in report["warnings"][0]
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"selfie.jpg"}


@pytest.mark.parametrize(
    "words", ["", "🐱✨", "zxqv blorptang 阿巴阿巴", "pink hair, " * 900], ids=["empty", "emoji", "unknown", "long"]
)
def test_odd_words_still_make_an_avatar_and_unknown_ones_are_reported(server, words):
    """Words would vanish without a trace, or a strange sentence would end in a traceback."""
    workflow = quickstart.load_workflow()
    prompt = quickstart.fill(workflow, quickstart.Request(words, None, None, Path()), None)
    with SyncClient(server.url, patience=6.0) as client:
        target = quickstart.node_called(prompt, "What was understood")
        result = client.run(prompt, targets=[target])
    report = "\n".join(result.texts[target])
    assert report.strip()
    for unknown in ("blorptang", "阿巴"):
        if unknown in words:
            assert unknown in report


def test_a_photo_that_does_not_exist_is_refused_before_anything_starts(root, tmp_path):
    """A typo in a path would cost a minute and then give somebody else's face."""
    started = time.monotonic()
    done = demo(root, "--photo", tmp_path / "nobody.jpg", "--out", tmp_path / "out")
    assert done.returncode == USAGE and "nobody.jpg" in done.stderr and "Traceback" not in done.stderr
    assert time.monotonic() - started < 5


def test_an_unknown_pose_names_the_nearest(root, server, tmp_path):
    """A typo in --pose would give a wall of JSON."""
    from chibi_avatar.headless.errors import PromptRejected

    with pytest.raises(PromptRejected) as caught:
        quickstart.make(quickstart.Request("a girl", None, "wavng", tmp_path), server)
    assert "waving" in str(caught.value)


@contextlib.contextmanager
def started_demo(root: Path, out: Path):
    """A demo that has reached its server: the process, and the server's processes."""
    heard = None
    if os.name == "posix":  # a test run in the background inherits "ignore Ctrl-C"; a person's terminal does not
        heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command("--out", out),
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heard,
    )
    try:
        deadline = time.monotonic() + 60
        children: list[psutil.Process] = []
        while not children and time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):  # a helper that ends while it is looked at
                found = psutil.Process(process.pid).children(recursive=True)
                children = [child for child in found if any("main.py" in word for word in child.cmdline())]
        assert children, "the demo started no server"
        yield process, children
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_comfyui_dying_shows_its_last_lines(root, tmp_path):
    """The demo would wait for ever for a server that is gone, or end without saying why."""
    with started_demo(root, tmp_path) as (process, children):
        for line in process.stderr:
            if "Starting ComfyUI: done" in line:
                break
        children[0].kill()
        _, said = process.communicate(timeout=60)
    assert process.returncode == FAILED, said
    assert "ComfyUI ended unexpectedly" in said and "last lines" in said
    assert not list(tmp_path.glob("avatar.*")), "half a result was left"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopping_the_demo_leaves_no_server_behind(root, tmp_path, how):
    """Every Ctrl-C would leave a ComfyUI eating memory."""
    with started_demo(root, tmp_path) as (process, children):
        process.send_signal(how)
        _, said = process.communicate(timeout=30)
        assert process.returncode == INTERRUPTED, said
        assert "Traceback" not in said
        _, alive = psutil.wait_procs(children, timeout=5)
        assert not alive
    assert not list(tmp_path.iterdir())


def test_a_taken_port_is_named(root, server):
    """serve would end in ComfyUI's traceback about an address."""
    done = subprocess.run(
        [sys.executable, "-m", "chibi_avatar", "serve", "--port", str(server.port)],
        cwd=root, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == USAGE and str(server.port) in done.stderr and "--port" in done.stderr


def test_a_server_with_the_network_gone(root, photo, tmp_path):
    """The second demo would need the internet that the first one had."""
    broken = "http://127.0.0.1:9"
    env = {
        **os.environ,
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), broken),
    }
    env |= {"PIP_INDEX_URL": broken, "PIP_NO_INDEX": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        command("--photo", photo, "--out", tmp_path, "--json"),
        cwd=root, capture_output=True, text=True, timeout=240, check=False, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["warnings"] == []
