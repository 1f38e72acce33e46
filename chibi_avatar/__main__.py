"""``python3 -m chibi_avatar COMMAND``: starts on a bare Python; each command says which environment it needs."""

from __future__ import annotations

import sys

if sys.hexversion < 0x030A0000:
    sys.exit(
        "Chibi Avatar needs Python 3.10 or newer; this is " + sys.version.split()[0] + " (" + sys.executable + ")."
    )

from .commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
