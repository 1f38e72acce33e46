"""Everything that must exist before the work can start: the environment, ComfyUI, its server, small models, a browser.

Standard library only: this package runs on a bare Python.
"""
