"""The directories of versions beside the link: putting one there, changing the link, taking old ones away."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from bpci_node.errors import HostError
from bpci_node.store.durable_file import sync_path
from bpci_node.update.settings import Settings

_INSTALL_SECONDS = 1800.0
"""How long pip may take on a slow disk."""
_TRIAL_SECONDS = 120.0


def install_beside(settings: Settings, wheelhouse: Path, python: Path) -> Path:
    """Install a wheelhouse beside the running version and return its directory; the link stays.

    Raises:
        HostError: it can't be installed (``update.install``).
    """
    command: list[str | Path] = [settings.installer, settings.prefix, wheelhouse, "--beside", "--python", python]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise HostError(f"{settings.installer} does not run", code="update.install") from error
    words = done.stdout.split()
    if done.returncode != 0 or len(words) != 2:
        said = done.stderr.strip()[-500:] or "it said nothing"
        raise HostError(f"the new version could not be installed: {said}", code="update.install")
    return Path(words[1])


def try_out(prefix: Path, config: Path, version: str) -> str:
    """Start a version's command without touching anything; return what is wrong, or nothing.

    It must say its version, and take the node's configuration if there is one.
    """
    said = _call([prefix / "bin" / "bpci", "--version"])
    if isinstance(said, str):
        return f"its command does not start: {said}"
    if said.stdout.split()[-1:] != [version]:
        return f"its command says {said.stdout.strip()[:80]!r} instead of version {version}"
    if config.exists():
        said = _call([prefix / "bin" / "bpci", "node", "run", "--config", config, "--check"])
        if isinstance(said, str):
            return f"it refuses the node's configuration: {said}"
    return ""


def link_to(settings: Settings, name: str) -> None:
    """Let the prefix be the version in the directory ``name``, in one step; durable on return.

    Raises:
        OSError: the disk failed.
    """
    partial = settings.prefix.with_name(f"{settings.prefix.name}.new")
    partial.unlink(missing_ok=True)
    partial.symlink_to(name)
    partial.replace(settings.prefix)
    sync_path(settings.prefix.parent)


def linked(settings: Settings) -> str:
    """Return the name of the directory to which the prefix leads.

    Raises:
        HostError: it is no link beside its versions (``update.prefix``).
    """
    target = settings.prefix.readlink() if settings.prefix.is_symlink() else Path("/")
    if len(target.parts) != 1 or not target.name.startswith(f"{settings.prefix.name}-"):
        raise HostError(
            f"{settings.prefix} is not a link to a version beside it",
            code="update.prefix",
            hint="Run the installer once; from then on the node updates itself.",
        )
    return target.name


def keep_only(settings: Settings, names: Iterable[str]) -> None:
    """Take away every version but these and the one in use."""
    kept = {*names, linked(settings)}
    for path in settings.prefix.parent.glob(f"{settings.prefix.name}-*"):
        if path.name not in kept and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def drop_incomplete(settings: Settings) -> None:
    """Take away versions whose installation broke off."""
    for path in settings.prefix.parent.glob(f"{settings.prefix.name}-*"):
        if path.is_dir() and not path.is_symlink() and not (path / ".complete").exists():
            shutil.rmtree(path, ignore_errors=True)


def _call(command: list[str | Path]) -> subprocess.CompletedProcess[str] | str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TRIAL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no end after {_TRIAL_SECONDS:.0f} seconds"
    except OSError as error:
        return str(error.strerror)
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1][:300]
    return done
