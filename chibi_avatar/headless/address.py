"""Server addresses: as they are asked, and as they may be shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from .errors import InputError

_USER = re.compile(r"^([a-z][a-z0-9+.-]*://)?[^/?#]*@", re.IGNORECASE)


def normal_url(url: str) -> str:
    """``http://host:port`` without a trailing slash; ``127.0.0.1:8188`` and ``8188`` are understood. Raises
    :class:`InputError`.
    """
    text = str(url).strip().rstrip("/")
    if text.isdigit():
        text = f"127.0.0.1:{text}"
    if "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        shown = shown_url(url)
        raise InputError(
            reason=f"{shown!r} is not a server address; write http://host:port",
            reason_zh=f"{shown!r} 不是服务器地址；请写成 http://主机:端口",
        )
    return text


def shown_url(url: str) -> str:
    """The address without the user name and password in it, for messages, journals and results."""
    return _USER.sub(r"\1", str(url).strip())
