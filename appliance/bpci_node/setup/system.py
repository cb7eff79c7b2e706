"""The one narrow door through which set-up changes a machine: files below a root, and commands.

Invariants: a file is replaced whole (written beside, flushed, renamed) or not at all; a command is an argument list,
never a shell line; a secret reaches a command on its standard input only. With another root than ``/`` files land below
that root, so the same steps serve this machine, a disk being installed, and a test.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bpci_node.errors import HostError, StorageError
from bpci_node.store.durable_file import replace_file

COMMAND_SECONDS = 660
"""How long a command may take before it counts as hung: longer than the node's unit may take to start."""

COMMAND_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where commands are looked for: a shell of an ordinary user leaves the ``sbin`` directories out."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left behind."""

    status: int
    """Exit status; 127 when there is no such command."""
    output: bytes
    """Standard output."""
    errors: str
    """Standard error, at most its last 2,000 characters."""


Runner = Callable[[Sequence[str], bytes], Finished]
"""Runs an argument list with bytes on its standard input."""


def run_command(argv: Sequence[str], stdin: bytes) -> Finished:
    """Run ``argv`` for real."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": COMMAND_PATH}
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, timeout=COMMAND_SECONDS, check=False, env=environment
        )
    except FileNotFoundError:
        return Finished(127, b"", f"{argv[0]}: not found")
    except subprocess.TimeoutExpired:
        return Finished(124, b"", f"no end after {COMMAND_SECONDS} s")
    except OSError as error:
        return Finished(126, b"", str(error.strerror))
    return Finished(done.returncode, done.stdout, done.stderr.decode(errors="replace")[-2000:].strip())


Streamer = Callable[[Sequence[str], Callable[[str], None]], Finished]
"""Runs an argument list, and passes on each line of its standard output as it comes."""


def stream_command(argv: Sequence[str], on_line: Callable[[str], None]) -> Finished:
    """Run ``argv`` for real, as long as it takes."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": COMMAND_PATH}
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            )
        except OSError as error:
            return Finished(127, b"", str(error.strerror))
        with process:
            for line in process.stdout or ():
                on_line(line.rstrip("\n"))
        errors.seek(max(errors.seek(0, os.SEEK_END) - 2000, 0))
        return Finished(process.returncode, b"", errors.read().decode(errors="replace").strip())


@dataclass(frozen=True, slots=True)
class System:
    """A machine, or the part of one that lies below ``root``."""

    root: Path = Path("/")
    """Top of the tree that is read and written."""
    runner: Runner = run_command
    """Carries commands out."""
    streamer: Streamer = stream_command
    """Carries out the one command that takes minutes and tells its progress."""

    def path(self, name: str) -> Path:
        """Return where the absolute path ``name`` stands below the root."""
        return self.root / name.lstrip("/")

    def exists(self, name: str) -> bool:
        """Tell whether ``name`` is there."""
        return self.path(name).exists()

    def read(self, name: str) -> bytes | None:
        """Return the content of ``name``, or ``None`` if there is no such file.

        Raises:
            StorageError: it is there and can't be read (``storage.read``).
        """
        try:
            return self.path(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageError(f"cannot read {name}: {error.strerror}", code="storage.read") from error

    def read_text(self, name: str) -> str:
        """Return the text of ``name`` without the space around it, empty if there is none."""
        return (self.read(name) or b"").decode(errors="replace").strip()

    def write(self, name: str, data: bytes | str, mode: int = 0o644) -> None:
        """Put ``data`` in place of ``name``, whole, and flushed to the disk.

        Raises:
            StorageError: the disk is full, read-only or failing (``storage.write``).
        """
        path = self.path(name)
        content = data.encode() if isinstance(data, str) else data
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, content, mode=mode)
        except OSError as error:
            raise StorageError(
                f"cannot write {name}: {error.strerror}", code="storage.write", hint="Is the disk full, or failing?"
            ) from error

    def holds(self, name: str, data: bytes | str, mode: int = 0o644) -> bool:
        """Tell whether ``name`` has this content and this mode."""
        content = data.encode() if isinstance(data, str) else data
        return self.read(name) == content and self.path(name).stat().st_mode & 0o7777 == mode

    def link(self, name: str, target: str) -> None:
        """Make ``name`` a symbolic link to ``target``, whatever it was.

        Raises:
            StorageError: ``storage.write``.
        """
        path = self.path(name)
        partial = path.with_name(f".{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)
            partial.symlink_to(target)
            partial.replace(path)
        except OSError as error:
            raise StorageError(f"cannot write {name}: {error.strerror}", code="storage.write") from error

    def remove(self, name: str) -> None:
        """Remove the file ``name``, which need not be there.

        Raises:
            StorageError: ``storage.write``.
        """
        try:
            self.path(name).unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise StorageError(f"cannot remove {name}: {error.strerror}", code="storage.write") from error

    def run(self, *argv: str, stdin: bytes = b"", hint: str | None = None) -> bytes:
        """Run a command and return its standard output.

        Raises:
            HostError: it failed (``host.command``); the message has the last line that it said.
        """
        done = self.runner(argv, stdin)
        if done.status:
            said = done.errors.splitlines()[-1:] or [f"exit status {done.status}"]
            raise HostError(f"{argv[0]} failed: {said[0]}", code="host.command", hint=hint, status=done.status)
        return done.output

    def attempt(self, *argv: str, stdin: bytes = b"") -> bool:
        """Run a command whose failure changes nothing that matters, and tell whether it succeeded."""
        return self.runner(argv, stdin).status == 0
