"""A file server on loopback that cuts, drips, lies and redirects."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FileServer:
    """Serves ``data`` at every path. Set the attributes to misbehave; ``requests`` keeps what was asked."""

    def __init__(self, data: bytes):
        self.data = data
        self.cuts: list[int] = []
        self.etag = '"' + hashlib.sha256(data).hexdigest()[:16] + '"'
        self.content_type = "application/octet-stream"
        self.ranges = True
        self.status = 200
        self.redirect = ""
        self.drip = 0.0
        self.change_after_cut = b""
        self.always_416 = False
        self.requests: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                return

            def do_GET(self) -> None:
                outer.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> FileServer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append({"path": handler.path, **{k.lower(): v for k, v in handler.headers.items()}})
        if self.redirect:
            handler.send_response(302)
            handler.send_header("Location", self.redirect + handler.path)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if self.status != 200:
            handler.send_response(self.status)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        start = 0
        asked = re.match(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if asked and self.always_416:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.data)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if asked and self.ranges and handler.headers.get("If-Range") == self.etag:
            start = int(asked[1])
            if start >= len(self.data):
                handler.send_response(416)
                handler.send_header("Content-Range", f"bytes */{len(self.data)}")
                handler.send_header("Content-Length", "0")
                handler.end_headers()
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        else:
            handler.send_response(200)
        body = self.data[start:]
        handler.send_header("ETag", self.etag)
        handler.send_header("Content-Type", self.content_type)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        self._send(handler, body, start)

    def _send(self, handler: BaseHTTPRequestHandler, body: bytes, start: int) -> None:
        cut = self.cuts.pop(0) if self.cuts else None
        if cut is not None:
            body = body[: max(0, cut - start)]
        try:
            if self.drip:
                for index in range(0, len(body), 64):
                    handler.wfile.write(body[index : index + 64])
                    handler.wfile.flush()
                    time.sleep(self.drip)
            else:
                handler.wfile.write(body)
                handler.wfile.flush()
        except OSError:
            return
        if cut is not None:
            if self.change_after_cut:
                self.data, self.etag = self.change_after_cut, '"other"'
            handler.close_connection = True
            handler.connection.close()
