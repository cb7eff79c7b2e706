"""A machine of an owner in a directory: real files, and a service manager that does what a test says."""

import json
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bpci_node.setup import settings
from bpci_node.setup.acts.guard import Guard
from bpci_node.setup.acts.helper import Helper
from bpci_node.setup.acts.request import DIRECTORY, Request
from bpci_node.setup.answers import MachineAnswers, NetworkAnswers, OwnerAnswers
from bpci_node.setup.password import hash_password
from bpci_node.setup.settings import Settings
from bpci_node.setup.system import Finished, System

PASSWORD = "correct horse battery"
HASH = hash_password(PASSWORD)


class Machine:
    """A root with an owner; what the service manager starts runs in this process, or not at all."""

    def __init__(self, root: Path) -> None:
        self.system = System(root, self.run)
        self.directory = self.system.path(DIRECTORY)
        self.directory.mkdir(parents=True)
        self.calls: list[tuple[str, ...]] = []
        self.starts: Callable[[str], None] = lambda _lane: None
        self.active, self.now = "inactive", 100.0
        kept = Settings(MachineAnswers(), NetworkAnswers(), OwnerAnswers("ada", HASH, "x"))
        self.system.write(settings.PATH, settings.dump(kept))
        self.system.write("/etc/shadow", f"root:*:1::::::\nada:{HASH}:1:0:99999:7:::\n")

    def run(self, argv: Sequence[str], _stdin: bytes) -> Finished:
        self.calls.append(tuple(argv))
        if argv[:2] == ("systemctl", "show"):
            return Finished(0, f"ActiveState={self.active}\n".encode(), "")
        if argv[:2] == ("systemctl", "start"):
            self.starts(argv[-1].partition("@")[2].removesuffix(".service"))
        if argv[0] == "journalctl":
            return Finished(0, b"a \x1b[31mline\n", "")
        return Finished(0, b"[]", "")

    def guard(self) -> Guard:
        return Guard(self.system, self.directory, clock=lambda: self.now)

    def helper(self, users: Collection[int]) -> Helper:
        return Helper(self.system, self.guard(), self.directory, users)

    def send(self, data: bytes, *, users: Collection[int] | None = None) -> tuple[dict[str, Any], bytes]:
        """Say ``data`` as the web face does, and return the answer and what follows it."""
        answering = self.helper({os.getuid()} if users is None else users)
        ours, theirs = socket.socketpair()

        def serve() -> None:
            with theirs:
                answering.serve(theirs)

        thread = threading.Thread(target=serve)
        with ours:
            thread.start()
            ours.sendall(data)
            ours.shutdown(socket.SHUT_WR)
            said = b""
            # What was never read resets the connection once the answer is out.
            with suppress(ConnectionResetError):
                while part := ours.recv(1 << 16):
                    said += part
            thread.join(60)
        first, _, rest = said.partition(b"\n")
        return json.loads(first), rest

    def ask(self, act: str, values: dict[str, str] | None = None, password: str = "", lines: int = 0) -> dict[str, Any]:
        return self.send(Request(act, values or {}, lines, password).encode())[0]

    @contextmanager
    def listening(self, path: Path) -> Iterator[None]:
        """Answer on a socket, one connection after the other, as the service manager has it done."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(8)

            def serve() -> None:
                with suppress(OSError):
                    while True:
                        connection, _ = listener.accept()
                        with connection:
                            self.helper({os.getuid()}).serve(connection)

            thread = threading.Thread(target=serve)
            thread.start()
            try:
                yield
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join(60)
