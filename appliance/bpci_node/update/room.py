"""Is there room for an update, and what the disk says when there was none after all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bpci_node.errors import HostError
from bpci_node.host.space import read_space
from bpci_node.runtime.config import NodeConfig
from bpci_node.update import databases
from bpci_node.update.bundle import Release
from bpci_node.update.settings import Settings

_SPARE_BYTES = 64 << 20
"""Room that stays free for the node while it is updated."""


def require_room(settings: Settings, config: NodeConfig | None, release: Release) -> None:
    """Check that an update fits on the disks, and leaves the node some room while it lasts.

    Args:
        config: of the node, if there is one; its databases are copied if their form changes.
    Raises:
        HostError: it does not (``update.space``).
    """
    beside, state = read_space(settings.prefix.parent), read_space(settings.state)
    wanted = {beside.device: release.manifest.installed_bytes + _SPARE_BYTES}
    more = release.manifest.payload_bytes + _SPARE_BYTES
    if config is not None and release.manifest.formats != databases.FORMATS:
        more += 2 * databases.sizes(config.state_dir)
    wanted[state.device] = wanted.get(state.device, 0) + more
    for space in (beside, state):
        if space.available_bytes < wanted[space.device]:
            raise HostError(
                f"the update needs {wanted[space.device] >> 20} MiB on the disk of {space.path},"
                f" and {space.available_bytes >> 20} MiB are free",
                code="update.space",
                hint="Free some space: 'bpci doctor disk' says what takes it.",
            )


@contextmanager
def disk_named() -> Iterator[None]:
    """Translate what the disk says.

    Raises:
        HostError: it is full or failing (``update.disk``).
    """
    try:
        yield
    except OSError as error:
        raise HostError(
            f"the disk refused the update: {error.strerror}",
            code="update.disk",
            hint="Make room, or look at its health; then 'sudo bpci update recover' brings the update to an end.",
        ) from error
