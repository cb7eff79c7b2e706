"""Does a release fit this machine, now? Judged before anything of it is unpacked."""

from __future__ import annotations

from dataclasses import dataclass

from bpci_node.errors import RefusedError
from bpci_node.update.bundle import Release
from bpci_node.update.manifest import version_key
from bpci_node.update.records import Installed, Version

CLOCK_SLACK_SECONDS = 86_400
"""How far a machine's clock may be behind the publisher's."""


@dataclass(frozen=True, slots=True)
class Here:
    """What a release is held against."""

    running: Version
    installed: Installed
    platform: str
    python: str
    formats: tuple[int, int]
    now_s: int


def require_fit(release: Release, here: Here) -> None:
    """Check that a release may be installed here, now.

    Raises:
        RefusedError: ``update.expired``, ``update.future``, ``update.platform``, ``update.python``,
            ``update.downgrade``, ``update.not_newer``, ``update.minimum``, ``update.formats``.
    """
    manifest, installed = release.manifest, here.installed
    if here.now_s >= manifest.expires_s:
        raise _refused("update.expired", "the release has expired", "Fetch a newer one; is this machine's clock right?")
    if manifest.issued_s > here.now_s + CLOCK_SLACK_SECONDS:
        raise _refused("update.future", "the release was issued in the future", "Set this machine's clock right.")
    if here.platform not in manifest.platforms:
        raise _refused(
            "update.platform",
            f"the release is for {', '.join(manifest.platforms)}, and this is {here.platform}",
            "Fetch the bundle for this platform.",
        )
    if here.python != manifest.python:
        raise _refused(
            "update.python",
            f"the release is for Python {manifest.python}, and the node here runs on {here.python}",
            "Fetch the bundle for this Python.",
        )
    digest = release.digest.hex()
    is_known = manifest.sequence == installed.highest and digest == installed.highest_digest
    if manifest.sequence <= installed.highest and not is_known:
        raise _refused(
            "update.downgrade",
            f"the release has number {manifest.sequence}, and number {installed.highest} was installed here already",
            "Fetch a newer one; 'bpci update rollback' leads to the version before.",
        )
    if version_key(manifest.version) <= version_key(here.running.version):
        raise _refused(
            "update.not_newer",
            f"the release is version {manifest.version}, and {here.running.version} is installed",
            "Nothing is to be done.",
        )
    if version_key(here.running.version) < version_key(manifest.minimum):
        raise _refused(
            "update.minimum",
            f"the release updates version {manifest.minimum} and later, and {here.running.version} is installed",
            f"Install version {manifest.minimum} first.",
        )
    if any(theirs < ours for theirs, ours in zip(manifest.formats, here.formats, strict=True)):
        raise _refused(
            "update.formats",
            "the release can't read this node's databases, which a newer version wrote",
            "Fetch a newer release.",
        )


def _refused(code: str, message: str, hint: str) -> RefusedError:
    return RefusedError(message, code=code, hint=hint)
