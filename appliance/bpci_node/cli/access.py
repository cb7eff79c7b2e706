"""``bpci access``: who may sign in at this machine's web face, what was done there, and its certificates."""

from __future__ import annotations

import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.output import emit, fields, json_option, say, table
from bpci_node.errors import AccessError, UsageError

MACHINE_DIRECTORY = Path("/var/lib/bpci/web/access")
MACHINE_TLS = Path("/var/lib/bpci/web/tls")
ROLES = ["owner", "operator", "viewer"]
MAX_PASSWORD_BYTES = 512

dir_option = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=MACHINE_DIRECTORY,
    show_default=True,
    help="Where accounts and log are.",
)
tls_option = click.option(
    "--tls",
    type=click.Path(path_type=Path, file_okay=False),
    default=MACHINE_TLS,
    show_default=True,
    help="Where the certificates are.",
)
name_argument = click.argument("name")
password_option = click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Read the password from the first line of FILE, or of standard input (-).  [default: ask]",
)


@click.group("access")
def command() -> None:
    """Accounts, log and certificates of this machine's web face."""


@command.command("add")
@name_argument
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True, help="What it may do.")
@password_option
@dir_option
@json_option
def add(*, name: str, role: str, password_file: Path | None, directory: Path, as_json: bool) -> None:
    """Add an account. Needs root.

    \b
    Examples:
      sudo bpci access add eve
      sudo bpci access add bob --role operator --password-file bob.txt
    """
    from bpci_node.access.roles import Role
    from bpci_node.setup.password import hash_password

    _need(directory)
    hashed, now_ms = hash_password(_password(password_file)), _now_ms()
    _change("account.add", name, directory, lambda found: found.with_new(name, Role(role), hashed, now_ms=now_ms))
    emit({"v": 1, "name": name, "role": role}, as_json, lambda data: f"{data['name']} may sign in as {data['role']}.")


@command.command("list")
@dir_option
@json_option
def list_accounts(*, directory: Path, as_json: bool) -> None:
    """List the accounts. Needs root.

    \b
    Examples:
      sudo bpci access list
      sudo bpci access list --json
    """
    from bpci_node.access.accounts import load

    _need(directory)
    rows = [
        {"name": item.name, "role": item.role.value, "changed_ms": item.changed_ms}
        for _, item in sorted(load(directory).by_name.items())
    ]
    emit({"v": 1, "accounts": rows}, as_json, _render_accounts)


@command.command("remove")
@name_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@dir_option
@json_option
def remove(*, name: str, yes: bool, directory: Path, as_json: bool) -> None:
    """Remove an account; its sessions end. Needs root.

    \b
    Examples:
      sudo bpci access remove eve --yes
    """
    _need(directory)
    if not yes:
        click.confirm(f"Remove {name}?", abort=True, err=True)
    _change("account.remove", name, directory, lambda found: found.without(name))
    emit({"v": 1, "removed": name}, as_json, lambda data: f"{data['removed']} may not sign in any more.")


@command.command("role")
@name_argument
@click.argument("role", type=click.Choice(ROLES))
@dir_option
@json_option
def give_role(*, name: str, role: str, directory: Path, as_json: bool) -> None:
    """Give an account another role; its sessions end. Needs root.

    \b
    Examples:
      sudo bpci access role eve operator
    """
    from bpci_node.access.roles import Role

    _need(directory)
    now_ms = _now_ms()
    _change("account.role", name, directory, lambda found: found.with_role(name, Role(role), now_ms=now_ms))
    emit({"v": 1, "name": name, "role": role}, as_json, lambda data: f"{data['name']} is {data['role']} now.")


@command.command("password")
@name_argument
@password_option
@dir_option
@json_option
def set_password(*, name: str, password_file: Path | None, directory: Path, as_json: bool) -> None:
    """Set the password of an account; its sessions end. Needs root.

    \b
    Examples:
      sudo bpci access password eve
      printf '%s\\n' "$PASSWORD" | sudo bpci access password eve --password-file -
    """
    from bpci_node.access.accounts import load
    from bpci_node.setup.password import hash_password

    _need(directory)
    load(directory).find(name)
    hashed, now_ms = hash_password(_password(password_file)), _now_ms()
    _change("account.password", name, directory, lambda found: found.with_password(name, hashed, now_ms=now_ms))
    emit({"v": 1, "name": name}, as_json, lambda data: f"{data['name']} has another password.")


@command.command("log")
@click.option("--count", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many, the newest.")
@click.option("--verify", "is_verified", is_flag=True, help="Check the whole chain instead of listing it.")
@click.option("--head", metavar="DIGEST", help="With --verify: a digest that the log must contain, from the journal.")
@dir_option
@json_option
def show_log(*, count: int, is_verified: bool, head: str | None, directory: Path, as_json: bool) -> None:
    """Show what was done, by whom, and what came of it; or check that the log is whole. Needs root.

    Exit status with --verify: 0 it holds, 1 it does not.

    \b
    Examples:
      sudo bpci access log --count 20
      sudo bpci access log --verify
      sudo bpci access log --verify --head "$DIGEST" --json
    """
    from bpci_node.access import actions

    if head is not None and not is_verified:
        raise UsageError("--head goes with --verify", code="usage.call")
    witness = None if head is None else _digest(head)
    _need(directory)
    if is_verified:
        found = actions.verify(directory, witness=witness)
        shown = {"v": 1, "first": found.first, "last": found.last, "head": found.head.hex()}
        emit(shown, as_json, _render_verified)
        return
    rows = [record.as_map() for record in reversed(actions.ActionLog(directory).newest(count))]
    emit({"v": 1, "records": rows}, as_json, _render_log)


@command.command("certificate")
@click.option("--renew", is_flag=True, help="Make what is missing or due. Needs root.")
@click.option("--force", is_flag=True, help="With --renew: make a new certificate anyhow.")
@tls_option
@json_option
def certificate(*, renew: bool, force: bool, tls: Path, as_json: bool) -> None:
    """Show the certificate of the web face and the fingerprint of this machine's authority; or renew it.

    \b
    Examples:
      bpci access certificate
      sudo bpci access certificate --renew --force
    """
    from bpci_node.host import certificates

    if force and not renew:
        raise UsageError("--force goes with --renew", code="usage.call")
    if renew:
        _renew(tls, force=force)
    found = certificates.show(tls)
    shown = {
        "v": 1,
        "fingerprint": found.fingerprint,
        "names": list(found.names),
        "expires_ms": found.expires_ms,
        "authority_expires_ms": found.authority_expires_ms,
    }
    emit(shown, as_json, _render_certificate)


@command.command("serve", hidden=True)
@click.option("--listen", type=click.Path(path_type=Path), metavar="PATH", help="Make this socket instead.")
@click.option(
    "--owner-socket",
    type=click.Path(path_type=Path),
    default=Path("/run/bpci/owner.sock"),
    show_default=True,
    help="The node's.",
)
@dir_option
@tls_option
def serve(*, listen: Path | None, owner_socket: Path, directory: Path, tls: Path) -> None:
    """Serve sign-in and dashboard on the socket that systemd hands over; for bpci-web.service.

    \b
    Examples:
      bpci access serve --listen web.sock --dir accounts --tls tls --owner-socket owner.sock
    """
    from bpci_node.gateway.web.serve import bound_socket, inherited_socket
    from bpci_node.gateway.web.serve import serve as run
    from bpci_node.runtime.service import set_up_logging

    set_up_logging("bpci-web")
    listening = inherited_socket() if listen is None else bound_socket(listen)
    run(listening, accounts=directory, tls=tls, owner_socket=owner_socket)


def _renew(tls: Path, *, force: bool) -> None:
    import socket

    from bpci_node.host import certificates
    from bpci_node.setup.interfaces import own_addresses
    from bpci_node.setup.system import System

    if not os.access(tls if tls.exists() else tls.parent, os.W_OK):
        raise _not_root(tls)
    hostname, addresses = socket.gethostname(), own_addresses(System())
    is_new = certificates.renew(tls, hostname, addresses, now=datetime.now(UTC), force=force)
    say("a new certificate was made" if is_new else "the certificate is current")


def _digest(text: str) -> str:
    """Return a digest as the log writes it; the pages write ``0x`` before it."""
    digest = text.strip().lower().removeprefix("0x")
    if re.fullmatch("[0-9a-f]{64}", digest) is None:
        raise UsageError("--head needs a whole digest, 64 hexadecimal digits", code="usage.call")
    return digest


def _need(directory: Path) -> None:
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        if os.geteuid() == 0 or (directory.parent.exists() and not directory.exists()):
            raise UsageError(f"there is no directory {directory}", code="access.none", hint="Set the machine up first.")
        raise _not_root(directory)


def _not_root(directory: Path) -> AccessError:
    return AccessError(f"only root may use {directory}", code="access.root", hint="Use sudo.")


def _change(what: str, name: str, directory: Path, make: Any) -> None:
    """Change the accounts, recorded before and after."""
    from bpci_node.access.accounts import change
    from bpci_node.access.actions import Action, ActionLog
    from bpci_node.errors import BpciError

    log, who = ActionLog(directory), os.environ.get("SUDO_USER", "root")

    def record(result: str) -> None:
        log.append(Action(who, "root", "console", what, name, result), now_ms=_now_ms())

    record("begun")
    try:
        change(directory, make)
    except BpciError as error:
        record(error.code)
        raise
    record("done")


def _password(file: Path | None) -> str:
    if file is None:
        asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return asked
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.readline(MAX_PASSWORD_BYTES)
        else:
            with file.open("rb") as opened:
                data = opened.readline(MAX_PASSWORD_BYTES)
        return data.decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read a password from {file}", code="usage.password") from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _when(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _render_accounts(data: dict[str, Any]) -> str:
    rows = [[item["name"], item["role"], _when(item["changed_ms"])] for item in data["accounts"]]
    return table(rows, ["name", "role", "changed"])


def _render_log(data: dict[str, Any]) -> str:
    names = ("who", "role", "source", "what", "about", "result")
    rows = [[str(item["n"]), _when(item["time_ms"]), *(item[name] for name in names)] for item in data["records"]]
    return table(rows, ["no.", "when", "who", "role", "from", "what", "about", "result"])


def _render_verified(data: dict[str, Any]) -> str:
    if not data["last"]:
        return "The log is empty."
    return f"The log holds from record {data['first']} to {data['last']}; its head is {data['head']}."


def _render_certificate(data: dict[str, Any]) -> str:
    return fields(
        {
            "names": ", ".join(data["names"]),
            "expires": _when(data["expires_ms"]),
            "authority": data["fingerprint"],
            "authority until": _when(data["authority_expires_ms"]),
        }
    )
