"""What ``restic`` says when it fails, as the product's errors."""

from __future__ import annotations

from dataclasses import dataclass

from bpci_node.errors import BpciError, LimitError, NotFoundError, ProofError, StorageError, UnreachableError

_SAID = 2_000
"""Characters of the program's words that a message may end with."""


@dataclass(frozen=True, slots=True)
class _Cause:
    """One thing that can stand in the way."""

    words: tuple[str, ...]
    """Any of these in what the program says, in lower case."""
    error: type[BpciError]
    code: str
    message: str
    """With ``{place}``, where the repository is, and ``{said}``, the program's last words."""
    hint: str | None = None


_CAUSES = (
    _Cause(
        ("wrong password or no key found",),
        ProofError,
        "backup.key",
        "the repository {place} is locked with another key than this machine's",
        "It belongs to another recovery phrase, or another machine of the same owner made it anew.",
    ),
    _Cause(
        ("repository is already locked", "unable to create lock"),
        LimitError,
        "backup.locked",
        "another program works on the repository {place}",
        "Wait until it is done; a lock that nobody holds any more goes after 30 minutes.",
    ),
    _Cause(
        ("config file already exists", "already initialized"),
        StorageError,
        "backup.exists",
        "there is a repository at {place} already",
    ),
    _Cause(
        ("no space left on device", "disk quota exceeded", "file too large"),
        StorageError,
        "backup.room",
        "there is no room for the backup: {said}",
        "Make room there, or keep fewer snapshots ([retention]) and run 'bpci backup prune'.",
    ),
    _Cause(
        ("403 forbidden", "append-only"),
        StorageError,
        "backup.append_only",
        "{place} lets nothing be removed",
        "Set append_only = true; the server's own side thins out.",
    ),
    _Cause(
        ("no matching id", "no snapshot found", "multiple ids"),
        NotFoundError,
        "backup.snapshot",
        "there is no such snapshot in {place}",
        "'bpci backup list' shows them.",
    ),
    _Cause(
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
        UnreachableError,
        "unreachable.backup",
        "the backup's place {place} can't be reached: {said}",
        "Is the disk attached, or the server up, and are the credentials right?",
    ),
    _Cause(
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
        ProofError,
        "backup.damaged",
        "the repository {place} is damaged: {said}",
        "Keep it, make a new one on another disk with 'bpci backup init', and look at this disk's health.",
    ),
    _Cause(
        ("is there a repository at", "no such file or directory", "unable to open config file", "does not exist"),
        NotFoundError,
        "backup.absent",
        "there is no repository at {place}",
        "Attach the disk, or make one with 'bpci backup init'.",
    ),
    _Cause(
        ("permission denied", "read-only file system"),
        StorageError,
        "backup.access",
        "{place} can't be written: {said}",
    ),
)
"""The first that fits counts."""


def restic_error(said: str, place: str, status: int) -> BpciError:
    """Return the product's error for what restic said."""
    low = said.lower()
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = next(
        (line for line in lines if line.lower().startswith("fatal")), lines[-1] if lines else f"status {status}"
    )
    last = last.removeprefix("Fatal: ")[-_SAID:]
    for cause in _CAUSES:
        if any(word in low for word in cause.words):
            message = cause.message.replace("{place}", place).replace("{said}", last)
            return cause.error(message, code=cause.code, hint=cause.hint)
    return StorageError(f"restic failed: {last}", code="backup.failed", status=status)
