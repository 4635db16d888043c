"""The one exception of this package: its text is a sentence for the user."""

from __future__ import annotations


class GuestError(Exception):
    """What is wrong, where, and what to do about it."""
