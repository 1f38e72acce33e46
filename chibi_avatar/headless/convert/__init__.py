"""Canvas workflows to API format, without a browser.

What the frontend does when a person presses Run, done from the saved file and the server's ``/object_info``: widget
values by name, subgraphs unfolded, bypassed and muted nodes left out, reroutes and primitives resolved.
"""

from .api import convert, is_canvas

__all__ = ["convert", "is_canvas"]
