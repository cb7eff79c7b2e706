"""One question of the web face, answered by root: who asks, what for, with whose password.

The service manager starts a process for each connection (``bpci-act.socket``). It reads what the owner may read, checks
the password, and lets the service manager start what changes something (``bpci-act-run@.service``); it has no
capability and changes nothing itself but files below :data:`~bpci_node.setup.acts.request.DIRECTORY`.
"""

from __future__ import annotations

import fcntl
import json
import logging
import socket
import struct
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bpci_node.errors import AccessError, BpciError, FormatError, LimitError, NotFoundError, StorageError
from bpci_node.host.units import read_properties
from bpci_node.setup import interfaces, settings, trial
from bpci_node.setup.acts import record
from bpci_node.setup.acts.commands import BUNDLE
from bpci_node.setup.acts.guard import Guard
from bpci_node.setup.acts.request import CODE, DIRECTORY, LANES, MAX_REQUEST, Request, parse
from bpci_node.setup.acts.runner import request_path
from bpci_node.setup.system import System
from bpci_node.store.durable_file import replace_file

log = logging.getLogger("bpci.act")

READ_SECONDS, SEND_SECONDS = 5.0, 60.0
POLL_SECONDS = 0.1
BUNDLE_SECONDS = 3600
"""How long a support bundle lies here to be fetched."""
MAX_LOG = 400_000
"""Characters of logs in an answer; of more the end."""


@dataclass(frozen=True, slots=True)
class Helper:
    """Answers for one machine."""

    system: System
    guard: Guard
    directory: Path
    """Of records and requests, root's alone."""
    users: Collection[int]
    """Who may ask, by number."""

    def serve(self, connection: socket.socket) -> None:
        """Read one request, and answer it; whoever goes away in between misses the answer and nothing else."""
        try:
            line = read_line(connection)
            self._check_peer(connection)
            answer = self._answer(parse(line))
        except BpciError as error:
            log.info("refused: %s", error.code)
            answer = {"problem": error.as_problem()}
        except OSError as error:
            log.error("%s: %s", error.filename, error.strerror)  # noqa: TRY400 - a full or broken disk is no fault of ours
            failed = StorageError(f"{error.filename}: {error.strerror}", code="storage.write")
            answer = {"problem": failed.as_problem()}
        try:
            connection.settimeout(SEND_SECONDS)
            text = json.dumps({"v": 1} | answer, ensure_ascii=False)
            connection.sendall(text.encode(errors="replace") + b"\n")
            if "bytes" in answer:
                with self.system.path(BUNDLE).open("rb") as file:
                    connection.sendfile(file, count=answer["bytes"])
        except OSError as error:
            log.info("nobody took the answer: %s", error.strerror)

    def _check_peer(self, connection: socket.socket) -> None:
        """Ask the kernel who is at the other end. Source: unix(7), SO_PEERCRED."""
        shape = struct.Struct("3i")
        _, user, _ = shape.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, shape.size))
        if user not in self.users:
            raise AccessError("only the web face may ask this", code="access.peer", hint="Use 'sudo bpci' instead.")

    def _answer(self, request: Request) -> dict[str, Any]:
        self._sweep()
        reads: dict[str, Callable[[], dict[str, Any]]] = {
            "state": self._state,
            "logs": lambda: self._logs(request),
            "bundle": self._bundle,
        }
        if request.act in reads:
            return reads[request.act]()
        if request.kind.needs_password:
            self.guard.check(request.password)
        log.info("begun: %s", request.act)
        return self._begin(request)

    def _state(self) -> dict[str, Any]:
        kept, on = settings.load(self.system), trial.current(self.system)
        with (self.directory / "begin.lock").open("a") as lock:
            # What is just being begun has a record, and no unit yet.
            fcntl.flock(lock, fcntl.LOCK_SH)
            found = {lane: self._record(lane) for lane in LANES}
        return {
            "owner": kept.owner.name if kept else "",
            "keymap": kept.machine.keymap if kept else "",
            "timezone": kept.machine.timezone if kept else "",
            "interfaces": [
                {"name": item.name, "wireless": item.is_wireless, "addresses": list(item.addresses)}
                for item in interfaces.list_interfaces(self.system)
            ],
            "trial": None if on is None else {"mode": on.network.mode, "seconds_left": on.seconds_left},
            "bundle": self._bundle_size(),
            "runs": {lane: asdict(item) for lane, item in found.items() if item is not None},
        }

    def _logs(self, request: Request) -> dict[str, Any]:
        unit = request.values["unit"]
        chosen = [f"--unit={unit}"] if unit else []
        said = self.system.run(
            "journalctl", f"--lines={request.lines}", "--no-pager", "--no-hostname", "--quiet", *chosen
        )
        return {"text": said.decode(errors="replace")[-MAX_LOG:]}

    def _bundle(self) -> dict[str, Any]:
        size = self._bundle_size()
        if not size:
            raise NotFoundError("there is no support bundle", code="not_found.bundle", hint="Make one first.")
        return {"bytes": size}

    def _bundle_size(self) -> int:
        """Return the size of the finished bundle, 0 if there is none."""
        made = self._record("support")
        try:
            size = self.system.path(BUNDLE).stat().st_size
        except FileNotFoundError:
            return 0
        return size if made is not None and made.state == record.ENDED and made.status == 0 else 0

    def _begin(self, request: Request) -> dict[str, Any]:
        """Let the service manager carry an act out, and return how far it is.

        Raises:
            LimitError: another of its lane is under way (``limit.act``).
            HostError: it can't be started (``host.command``).
        """
        lane = request.kind.lane
        with (self.directory / "begin.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._is_running(lane):
                raise LimitError("something of this kind is under way", code="limit.act", hint="Wait until it ends.")
            replace_file(request_path(self.directory, lane), request.encode(with_password=False), mode=0o600)
            record.write(self.directory, lane, record.begun(request.act))
            self.system.attempt("systemctl", "reset-failed", unit_of(lane))
            try:
                self.system.run("systemctl", "start", "--no-block", unit_of(lane))
            except BpciError:
                request_path(self.directory, lane).unlink(missing_ok=True)
                record.path_of(self.directory, lane).unlink(missing_ok=True)
                raise
        end = time.monotonic() + request.kind.wait_seconds
        while (found := self._record(lane)) is not None and found.state == record.RUNNING and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
        return {"run": None if found is None else asdict(found)}

    def _record(self, lane: str) -> record.Record | None:
        found = record.read(self.directory, lane)
        if found is None or found.state != record.RUNNING or self._is_running(lane):
            return found
        # It may have ended between the two looks.
        found = record.read(self.directory, lane)
        return replace(found, state=record.CUT) if found is not None and found.state == record.RUNNING else found

    def _is_running(self, lane: str) -> bool:
        done = self.system.runner(("systemctl", "show", "--property=ActiveState,Job", unit_of(lane)), b"")
        shown = read_properties(done.output)
        return shown.get("ActiveState") in ("active", "activating", "deactivating") or bool(shown.get("Job", ""))

    def _sweep(self) -> None:
        """Take a support bundle away that nobody fetches any more."""
        made = record.read(self.directory, "support")
        if made is not None and made.ended_ms and record.now_ms() - made.ended_ms > BUNDLE_SECONDS * 1000:
            self.system.remove(BUNDLE)


def unit_of(lane: str) -> str:
    """Return the unit that carries out what was asked for in a lane."""
    return f"bpci-act-run@{lane}.service"


def for_this_machine(users: Collection[int]) -> Helper:
    """Return the helper of this machine."""
    system, directory = System(), Path(DIRECTORY)
    return Helper(system, Guard(system, directory), directory, users)


def read_line(connection: socket.socket) -> bytes:
    """Return one line, bounded in size and time.

    Raises:
        FormatError: longer, later, or cut off (``format.act``).
    """
    line, end = b"", time.monotonic() + READ_SECONDS
    while not line.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0 or len(line) > MAX_REQUEST:
            raise FormatError("the request is too long, or too slow", code=CODE)
        connection.settimeout(left)
        try:
            part = connection.recv(MAX_REQUEST + 1)
        except OSError:
            part = b""
        if not part:
            raise FormatError("the request was cut off", code=CODE)
        line += part
    return line
