"""Where the node's keys lie: systemd's credentials, or files that nobody else may read."""

from __future__ import annotations

import os
from pathlib import Path

from bpci_node.errors import UsageError


def read_key(reference: str, *, key: str) -> bytes:
    """Return the 32 bytes that a ``[keys]`` value refers to.

    Args:
        reference: ``credential:NAME`` or ``file:/path``.
        key: the configuration key, for messages.
    Raises:
        UsageError: ``config.key_file``: absent, readable by others, or of another length.
    """
    kind, _, name = reference.partition(":")
    if kind == "credential":
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise _key_error(key, reference, "systemd passed no credentials", "Start the node as bpci-node.service.")
        path = Path(directory) / name
    else:
        path = Path(name)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            data = file.read(33)
    except OSError as error:
        raise _key_error(key, reference, str(error.strerror), "Run 'bpci setup' to create the keys.") from error
    # systemd mounts credentials read-only for the service alone, with an ACL that shows up in the group bits.
    if kind == "file" and mode not in (0o600, 0o400):
        raise _key_error(key, reference, f"mode {mode:04o} lets others read it", f"chmod 0600 {path}")
    if len(data) != 32:
        raise _key_error(key, reference, "it does not hold exactly 32 bytes", "A key file is 32 raw bytes.")
    return data


def _key_error(key: str, reference: str, reason: str, hint: str) -> UsageError:
    return UsageError(f"{key} = {reference}: {reason}", code="config.key_file", hint=hint, key=key)
