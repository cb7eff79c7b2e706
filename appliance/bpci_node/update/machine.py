"""What this machine is, as manifests name it, and what is installed on it."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

from bpci_node.errors import HostError
from bpci_node.update.manifest import VERSION_FORM
from bpci_node.update.records import Version

_PROJECT = re.compile(r"^bpci_community_os==([0-9.]+) --hash", re.MULTILINE)
_PYTHON = re.compile(r"python (/\S+)")
MARKER_BYTES = 1 << 20


def platform_name() -> str:
    """Return distribution, release and processor, such as ``debian-12-x86_64``."""
    release = platform.freedesktop_os_release()
    return f"{release.get('ID', 'linux')}-{release.get('VERSION_ID', '0')}-{platform.machine()}"


def marker_of(prefix: Path) -> str:
    """Return what an installation was made from; empty if it is not complete."""
    try:
        with (prefix / ".complete").open("rb") as file:
            return file.read(MARKER_BYTES).decode(errors="replace")
    except OSError:
        return ""


def version_at(prefix: Path) -> Version | None:
    """Return the version in a directory, ``None`` if there is no complete one."""
    found = _PROJECT.search(marker_of(prefix))
    if found is None or VERSION_FORM.fullmatch(found[1]) is None:
        return None
    return Version(prefix.name, found[1])


def python_of(prefix: Path) -> Path:
    """Return the interpreter on which a version was installed.

    Raises:
        HostError: it does not say (``update.prefix``).
    """
    found = _PYTHON.match(marker_of(prefix))
    if found is None:
        raise HostError(
            f"{prefix} was not installed by install-prefix",
            code="update.prefix",
            hint="Run the installer once; from then on the node updates itself.",
        )
    return Path(found[1])


def python_version(python: Path) -> str:
    """Return the two numbers of an interpreter's version, such as ``3.11``.

    Raises:
        HostError: it does not run (``update.prefix``).
    """
    program = "import sys; print(f'{sys.version_info[0]}.{sys.version_info[1]}')"
    try:
        done = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise HostError(f"{python} does not run", code="update.prefix", hint="Run the installer again.") from error
    return done.stdout.strip()
