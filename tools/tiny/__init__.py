"""Development-time programs around the embedded model: the judge that measures it, its figures, its release files and its page in ``docs/``."""
