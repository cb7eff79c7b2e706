"""One update at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bpci_node.errors import HostError, RefusedError


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Keep other updates out of the directory ``state``, in which they are remembered.

    Raises:
        RefusedError: one is under way (``update.busy``).
        HostError: who calls may not write where updates are remembered (``update.root``), or the disk is full or
            failing (``update.disk``).
    """
    try:
        state.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise HostError("only root may update the node", code="update.root", hint="Run it with sudo.") from error
    except OSError as error:
        raise HostError(
            f"the disk refused the update: {error.strerror}",
            code="update.disk",
            hint="Make room, or look at its health.",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise RefusedError("another update is under way", code="update.busy", hint="Wait for its end.") from error
    try:
        yield
    finally:
        os.close(descriptor)
