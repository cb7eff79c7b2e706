"""The step of set-up that opens the web face: the owner's account there, and this machine's certificates."""

from __future__ import annotations

import time

from bpci_node.access import accounts
from bpci_node.access.accounts import Accounts
from bpci_node.access.actions import Action, ActionLog
from bpci_node.access.roles import Role
from bpci_node.errors import StorageError
from bpci_node.host import certificates
from bpci_node.setup.interfaces import own_addresses
from bpci_node.setup.run import Run, Step

FRONT = "/usr/lib/systemd/system/bpci-nginx.service"
"""Where there is none, as on a development machine, there is no web face to open."""


def _open_web(run: Run) -> None:
    if not run.system.exists(FRONT):
        return
    answers, now_ms = run.plan.answers, time.time_ns() // 1_000_000
    name, hashed = answers.owner.name, answers.owner.web_password_hash

    def make(found: Accounts) -> Accounts:
        if name not in found.by_name:
            return found.with_new(name, Role.OWNER, hashed, now_ms=now_ms)
        if found.find(name).role is not Role.OWNER:
            found = found.with_role(name, Role.OWNER, now_ms=now_ms)
        return found.with_password(name, hashed, now_ms=now_ms)

    directory = run.system.path(str(accounts.DIRECTORY))
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {accounts.DIRECTORY}: {error.strerror}", code="storage.write") from error
    accounts.change(directory, make)
    ActionLog(directory).append(Action("root", "root", "console", "set_up", name, "done"), now_ms=now_ms)
    tls = run.system.path(str(certificates.DIRECTORY))
    certificates.renew(tls, answers.machine.hostname, own_addresses(run.system), now=certificates.now())
    run.journal.results["web_fingerprint"] = certificates.show(tls).fingerprint


def _web_holds(run: Run) -> bool:
    if not run.system.exists(FRONT):
        return True
    owner = run.plan.answers.owner
    found = accounts.load(run.system.path(str(accounts.DIRECTORY))).by_name.get(owner.name)
    is_there = run.system.exists(str(certificates.DIRECTORY / certificates.CERTIFICATE))
    return is_there and found is not None and found.password_hash == owner.web_password_hash


WEB = Step("web", "Sign-in for the browser", _open_web, _web_holds, "Look at the free space of the disk.")
