"""Chibi Avatar: the work behind the ComfyUI nodes, importable without ComfyUI."""

__version__ = "0.1.0"
