"""What goes wrong in an action of Helm."""

from __future__ import annotations


class HelmFailed(Exception):
    """An action of Helm failed; the message is Helm's."""
