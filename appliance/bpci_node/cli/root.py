"""Commands that root alone may run."""

from __future__ import annotations

import os

from bpci_node.errors import UsageError


def need_root(
    message: str = "this changes the machine, so it needs root", *, hint: str = "Put sudo before it."
) -> None:
    """Refuse everybody else.

    Raises:
        UsageError: ``usage.root``.
    """
    if os.geteuid() != 0:
        raise UsageError(message, code="usage.root", hint=hint)
