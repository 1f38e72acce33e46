"""Downloads: the right bytes or a clear failure, never a wrong file in place."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from chibi_testing.file_server import FileServer

from chibi_avatar.models import download as room
from chibi_avatar.models import locate, lock, manifest
from chibi_avatar.models.download import DownloadError, LicenceRefused, Options
from chibi_avatar.models.manifest import Entry, Source


def weights(size: int = 60_000) -> bytes:
    body = random.Random(3).randbytes(size)
    head = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return len(head).to_bytes(8, "little") + head + body


DATA = weights()


@pytest.fixture()
def where(tmp_path: Path) -> locate.Folders:
    return locate.Folders(tmp_path, {})


def entry(url: str = "", data: bytes = DATA, **changes) -> Entry:
    base = next(e for e in manifest.load() if e.id == "ip-adapter-plus-face-sdxl")
    facts = {
        "id": "tiny", "filename": "tiny.safetensors", "folder": "loras", "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(), "sources": (Source("url", url + "/tiny.safetensors"),),
    }  # fmt: skip
    return replace(base, **{**facts, **changes})


def options(**changes) -> Options:
    return Options(**{"pause": 0.0, "tries": 3, "timeout": 5.0, **changes})


def leftovers(where: locate.Folders) -> list[str]:
    return [p.name for p in where.base.rglob("*") if p.is_file() and not p.name.endswith(".lock")]


def test_cut_at_twenty_points_it_goes_on_from_there(where):
    """A 7 GB file over a bad line would never arrive if every cut began again."""
    with FileServer(DATA) as server:
        server.cuts = sorted(random.Random(5).sample(range(100, len(DATA) - 1), 20))
        path = room.fetch(entry(server.url), where, options())
    assert path.read_bytes() == DATA
    assert len(server.requests) == 21 and all("range" in r for r in server.requests[1:])
    assert leftovers(where) == ["tiny.safetensors"]


def test_another_process_goes_on_with_what_is_there(where):
    """Closing the laptop in the middle must not cost the first half."""
    with FileServer(DATA) as server:
        server.cuts = [30_000] + [0] * 10
        with pytest.raises(DownloadError, match="without progress"):
            room.fetch(entry(server.url), where, options())
        server.cuts = []
        server.requests.clear()
        assert room.fetch(entry(server.url), where, options()).read_bytes() == DATA
        assert server.requests[0]["range"] == "bytes=30000-"


def test_a_file_that_changed_on_the_server_begins_again(where):
    """Half of the old file and half of the new one would load, and paint noise."""
    other = weights(50_000)
    with FileServer(DATA) as server:
        server.cuts, server.change_after_cut = [20_000], other
        path = room.fetch(entry(server.url, data=other, size=None), where, options())
    assert path.read_bytes() == other


def test_a_server_that_ignores_ranges_or_refuses_them(where):
    """Mirrors without Range support answer 200 or 416; both must end with the right file."""
    for flag in ("no_ranges", "always_416"):
        with FileServer(DATA) as server:
            server.cuts = [20_000]
            server.ranges, server.always_416 = flag != "no_ranges", flag == "always_416"
            found = entry(server.url, id=flag, filename=f"{flag}.safetensors")
            assert room.fetch(found, where, options()).read_bytes() == DATA


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        ({"content_type": "text/html"}, "web page"),
        ({"data": b"<!DOCTYPE html><html>Sign in</html>"}, "expected|web page"),
        ({"data": DATA[:-5]}, "expected"),
        ({"data": DATA[:-1] + b"x"}, "sha256"),
        ({"status": 404}, "HTTP 404"),
        ({"status": 401}, "token"),
        ({"status": 403}, "gated"),
        ({"status": 503}, "HTTP 503"),
    ],
)
def test_wrong_bytes_are_never_put_in_place(setup, words, where):
    """A login page named model.safetensors fails hours later with an error nobody understands."""
    with FileServer(DATA) as server:
        for name, value in setup.items():
            setattr(server, name, value)
        with pytest.raises(DownloadError, match=words):
            room.fetch(entry(server.url), where, options())
    assert not [name for name in leftovers(where) if name.endswith(".safetensors")]


def test_without_a_known_hash_the_safetensors_header_still_tells(where):
    """Most published models have no hash anywhere; a truncated one must be caught all the same."""
    for data, words in ((DATA[:-9], "cut short"), (b"not weights at all" * 9, "not a safetensors")):
        with FileServer(data) as server, pytest.raises(DownloadError, match=words):
            room.fetch(entry(server.url, size=None, sha256=None), where, options())


def test_a_slow_drip_is_given_up(where):
    """One byte a second looks alive and takes eighty days for a checkpoint."""
    with FileServer(DATA) as server:
        server.drip = 0.05
        with pytest.raises(DownloadError, match="slower than"):
            room.fetch(entry(server.url), where, options(timeout=0.25, slowest=1_000_000, tries=1))


def test_a_token_never_reaches_another_host(where, monkeypatch):
    """A redirect to a stranger's host would hand over the user's account."""
    with FileServer(DATA) as target, FileServer(DATA) as first:
        first.redirect = target.url
        monkeypatch.setattr(room, "token_for", lambda url: "secret" if url.startswith(first.url) else None)
        assert room.fetch(entry(first.url), where, options()).read_bytes() == DATA
    assert first.requests[0]["authorization"] == "Bearer secret"
    assert all("authorization" not in r for r in target.requests)
    assert room.token_for("https://evil.example/huggingface.co/x") is None


def test_tokens_go_to_their_own_host_over_https_only(monkeypatch):
    """HF_TOKEN must not be sent to a mirror, nor in the clear."""
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.undo()
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert room.token_for("https://huggingface.co/x") == "secret"
    assert room.token_for("http://huggingface.co/x") is None
    assert room.token_for("https://hf-mirror.example/x") is None


def test_mirrors_are_tried_in_order(where, monkeypatch):
    """Where the hub cannot be reached, HF_ENDPOINT is the only way."""
    with FileServer(DATA) as mirror:
        monkeypatch.setenv("HF_ENDPOINT", mirror.url)
        source = Source("hf", "someone/model", {"file": "a/b c.safetensors", "rev": None})
        assert room.addresses(source)[0] == f"{mirror.url}/someone/model/resolve/main/a/b%20c.safetensors"
        assert room.addresses(source)[1].startswith("https://huggingface.co/")
        assert room.fetch(entry(sources=(source,)), where, options()).read_bytes() == DATA


def test_a_second_source_is_tried_after_the_first(where):
    """One dead link in models.yaml must not be the end."""
    with FileServer(DATA) as dead, FileServer(DATA) as good:
        dead.status = 404
        both = (Source("url", dead.url + "/x"), Source("url", good.url + "/x"))
        assert room.fetch(entry(sources=both), where, options()).read_bytes() == DATA


def test_two_at_once_fetch_it_once(where):
    """Two terminals with the same command must not write into one file."""
    with FileServer(DATA) as server:
        server.drip = 0.0002
        results: list[Path] = []
        threads = [
            threading.Thread(target=lambda: results.append(room.fetch(entry(server.url), where, options())))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert len(results) == 2 and results[0].read_bytes() == DATA
    assert len(server.requests) == 1


def test_licences_and_pickles_are_asked_about(where):
    """Non-commercial weights in a sold avatar are a lawsuit; a pickle runs code."""
    research = entry(profile="research", commercial="no")
    with pytest.raises(LicenceRefused, match="--accept-license tiny"):
        room.fetch(research, where, options())
    with pytest.raises(LicenceRefused, match="--allow-pickle"):
        room.fetch(entry(filename="tiny.bin"), where, options())


def test_a_full_disk_is_told_before_the_download(where, monkeypatch):
    """After two hours, “no space left on device” is the worst message there is."""
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: usage)
    with FileServer(DATA) as server, pytest.raises(DownloadError, match="not enough disk space"):
        room.fetch(entry(server.url), where, options())


def test_a_file_inside_an_archive(where, tmp_path):
    """insightface publishes its recogniser only inside a zip."""
    archive = tmp_path / "pack.zip"
    with zipfile.ZipFile(archive, "w") as handle:
        handle.writestr("pack/tiny.safetensors", DATA)
    data = archive.read_bytes()
    with FileServer(data) as server:
        facts = {"zip_member": "tiny.safetensors", "archive_sha256": hashlib.sha256(data).hexdigest()}
        path = room.fetch(entry(sources=(Source("url", server.url + "/pack.zip", facts),)), where, options())
    assert path.read_bytes() == DATA


def test_a_damaged_archive_is_fetched_again(where, tmp_path):
    """One bad night on a mirror, and the model could never be had again."""
    archive = tmp_path / "pack.zip"
    with zipfile.ZipFile(archive, "w") as handle:
        handle.writestr("tiny.safetensors", DATA)
    data = archive.read_bytes()
    facts = {"zip_member": "tiny.safetensors", "archive_sha256": hashlib.sha256(data).hexdigest()}
    with FileServer(data[:500] + b"?" + data[501:]) as server:
        found = entry(sources=(Source("url", server.url + "/pack.zip", facts),))
        with pytest.raises(DownloadError, match="damaged"):
            room.fetch(found, where, options())
        assert leftovers(where) == ["pack.zip"]
        server.data = data
        assert room.fetch(found, where, options()).read_bytes() == DATA


def test_a_started_server_sees_what_models_list_sees(tmp_path, monkeypatch):
    """“models check” says it is there, and the run says it is missing."""
    (tmp_path / "comfy" / "models" / "loras").mkdir(parents=True)
    extra = tmp_path / "extra.yaml"
    extra.write_text(
        f"a:\n  base_path: {tmp_path}/disk\n  loras: |\n    one\n    two\n  custom_nodes: packs\n"
        f"b:\n  base_path: {tmp_path}/ssd\n  is_default: true\n  unet: 模型\n"
    )
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "comfy"))
    monkeypatch.setenv("COMFYUI_EXTRA_MODEL_PATHS", str(extra))
    monkeypatch.setenv("CHIBI_AVATAR_CACHE", str(tmp_path / "cache"))
    option, file = locate.server_arguments()
    assert option == "--extra-model-paths-config"
    # As ComfyUI's utils/extra_config.py reads it.
    seen: dict[str, list[Path]] = {}
    for section in yaml.safe_load(Path(file).read_text(encoding="utf-8")).values():
        base, default = Path(section.pop("base_path", "/")), section.pop("is_default", False)
        for name, lines in section.items():
            for line in lines.split("\n"):
                seen.setdefault(name, []).insert(0 if default else 99, base / line)
    assert seen["loras"] == [tmp_path / "comfy/models/loras", tmp_path / "disk/one", tmp_path / "disk/two"]
    assert seen["diffusion_models"][0] == tmp_path / "ssd/模型" and "custom_nodes" not in seen


def test_serve_has_the_models_of_comfyui_path(tmp_path, monkeypatch):
    """The person's own ComfyUI is named, and the canvas offers none of its checkpoints."""
    from chibi_avatar.commands import serve

    started = []

    @contextlib.contextmanager
    def running(**options):
        started.append(options)
        yield SimpleNamespace(url="http://x", wait=lambda: None, check=lambda: None)

    monkeypatch.setattr("chibi_avatar.setup.server.running", running)
    monkeypatch.setenv("CHIBI_AVATAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "comfy"))
    for base in (None, tmp_path / "own"):
        serve.run(SimpleNamespace(port=1, base=base, open=False))
    assert str(tmp_path / "comfy" / "models") in Path(started[0]["arguments"][1]).read_text(encoding="utf-8")
    assert started[1]["arguments"] == []


def test_files_are_found_in_every_place_comfyui_looks(tmp_path):
    """Downloading 7 GB again because they lie on another disk is how users leave."""
    base, other = tmp_path / "comfy", tmp_path / "disk"
    (other / "sd" / "sub").mkdir(parents=True)
    base.mkdir()
    (other / "sd" / "sub" / "tiny.safetensors").write_bytes(DATA)
    (base / "extra_model_paths.yaml").write_text(
        f"mine:\n  base_path: {other}\n  is_default: true\n  loras: |\n    nowhere\n    sd\n"
    )
    folders = locate.folders(base)
    assert locate.locate(entry(), folders) == other / "sd" / "sub" / "tiny.safetensors"
    assert locate.target(entry(), folders) == other / "nowhere" / "tiny.safetensors"
    assert locate.locate(entry(size=5), folders) is None


def test_the_lock_trusts_on_first_use_and_notices_a_change(where, tmp_path):
    """A model that silently changed makes last month's avatars impossible to repeat."""
    unknown = entry(sha256=None, size=None)
    path = locate.target(unknown, where)
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    kept = tmp_path / "lock.json"
    assert lock.verify(unknown, path, lock.read(kept)) == "unverified"
    lock.write([unknown], where, kept)
    assert lock.verify(unknown, path, lock.read(kept)) == "verified"
    path.write_bytes(DATA[:-1] + b"!")
    assert lock.verify(unknown, path, lock.read(kept)) == "wrong"
