"""What ``restic`` says when it fails, as the product's errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bpci_node.errors import BpciError, LimitError, NotFoundError, ProofError, StorageError, UnreachableError

_SAID = 2_000
"""Characters of the program's words that a message may end with."""

_CAUSES: Sequence[tuple[tuple[str, ...], Callable[[str, str], BpciError]]] = (
    (
        ("wrong password or no key found",),
        lambda place, _said: ProofError(
            f"the repository {place} is locked with another key than this machine's",
            code="backup.key",
            hint="It belongs to another recovery phrase, or another machine of the same owner made it anew.",
        ),
    ),
    (
        ("repository is already locked", "unable to create lock"),
        lambda place, _said: LimitError(
            f"another program works on the repository {place}",
            code="backup.locked",
            hint="Wait until it is done; a lock that nobody holds any more goes after 30 minutes.",
        ),
    ),
    (
        ("config file already exists", "already initialized"),
        lambda place, _said: StorageError(f"there is a repository at {place} already", code="backup.exists"),
    ),
    (
        ("no space left on device", "disk quota exceeded", "file too large"),
        lambda _place, said: StorageError(
            f"there is no room for the backup: {said}",
            code="backup.room",
            hint="Make room there, or keep fewer snapshots ([retention]) and run 'bpci backup prune'.",
        ),
    ),
    (
        ("403 forbidden", "append-only"),
        lambda place, _said: StorageError(
            f"{place} lets nothing be removed",
            code="backup.append_only",
            hint="Set append_only = true; the server's own side thins out.",
        ),
    ),
    (
        ("no matching id", "no snapshot found", "multiple ids"),
        lambda place, _said: NotFoundError(
            f"there is no such snapshot in {place}", code="backup.snapshot", hint="'bpci backup list' shows them."
        ),
    ),
    (
        (
            "connection refused",
            "no such host",
            "i/o timeout",
            "network is unreachable",
            "no route to host",
            "connection reset",
            "name resolution",
            "unable to start the sftp session",
            "ssh: ",
            "host key verification failed",
            "permission denied (publickey",
            "certificate",
            "401 unauthorized",
            "input/output error",
            "transport endpoint",
        ),
        lambda place, said: UnreachableError(
            f"the backup's place {place} can't be reached: {said}",
            code="unreachable.backup",
            hint="Is the disk attached, or the server up, and are the credentials right?",
        ),
    ),
    (
        (
            "ciphertext verification failed",
            "invalid data returned",
            "repository contains errors",
            "returned error, retrying",
            "hash does not match",
            "does not match id",
            "unexpected eof",
            "unable to load index",
            "config cannot be loaded",
            "integrity",
            "not found in the index",
            "there were",
            "invalid character",
            "ignoring error",
        ),
        lambda place, said: ProofError(
            f"the repository {place} is damaged: {said}",
            code="backup.damaged",
            hint="Keep it, make a new one on another disk with 'bpci backup init', and look at this disk's health.",
        ),
    ),
    (
        ("is there a repository at", "no such file or directory", "unable to open config file", "does not exist"),
        lambda place, _said: NotFoundError(
            f"there is no repository at {place}",
            code="backup.absent",
            hint="Attach the disk, or make one with 'bpci backup init'.",
        ),
    ),
    (
        ("permission denied", "read-only file system"),
        lambda place, said: StorageError(f"{place} can't be written: {said}", code="backup.access"),
    ),
)


def restic_error(said: str, place: str, status: int) -> BpciError:
    """Return the product's error for what restic said."""
    low = said.lower()
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = next(
        (line for line in lines if line.lower().startswith("fatal")), lines[-1] if lines else f"status {status}"
    )
    last = last.removeprefix("Fatal: ")[-_SAID:]
    for words, make in _CAUSES:
        if any(word in low for word in words):
            return make(place, last)
    return StorageError(f"restic failed: {last}", code="backup.failed", status=status)
