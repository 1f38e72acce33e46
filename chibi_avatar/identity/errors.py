"""What can go wrong with an identity, in words a person can act on."""

from __future__ import annotations


class IdentityError(ValueError):
    """A photo, face model, identity card or adapter cannot be used. The message names the file or input and the fix."""


class MissingModelError(IdentityError):
    """A model file that this step needs is in none of the folders that were searched."""
