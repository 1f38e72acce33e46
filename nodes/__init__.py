"""Thin ComfyUI nodes, one file per room. The only package that imports comfy."""
