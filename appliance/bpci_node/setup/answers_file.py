"""The answers file (TOML), read strictly. Format: ``docs/spec/answers.md``.

Invariants: unknown keys and wrong types are errors that name the file and the key; there is no default for a secret; no
message shows a secret; a plain password is hashed as soon as it is read. What :func:`bpci_node.setup.answers.document`
returns, :func:`from_document` reads back to equal answers, but for the recovery phrase, which is never written.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from bpci_node.errors import BpciError, FormatError, UsageError
from bpci_node.network.file import NAME, check_url
from bpci_node.primitives.derivation import normalise_phrase
from bpci_node.runtime.config import NODE_TYPES
from bpci_node.runtime.table import TableReader
from bpci_node.setup.answers import (
    ACCOUNT,
    CAPABILITY,
    HOSTNAME,
    INTERFACE,
    KEYMAP,
    MAX_CAPABILITIES,
    PROFILES,
    SSH_KEY,
    TIMEZONE,
    Answers,
    IdentityAnswers,
    JoinAnswers,
    MachineAnswers,
    NetworkAnswers,
    NodeAnswers,
    OwnerAnswers,
    RestoreAnswers,
    is_reserved,
)
from bpci_node.setup.forms import check_network
from bpci_node.setup.password import HASH_FORM, hash_password

MAX_BYTES = 64 * 1024
"""Longest answers file that is read."""

_SECRETS = (
    ("network", "wifi_passphrase"),
    ("owner", "password"),
    ("owner", "password_hash"),
    ("owner", "web_password"),
    ("owner", "web_password_hash"),
    ("identity", "phrase"),
)
"""Values that never reach a message; a password may stand where a hash belongs, so hashes count."""


def load(path: Path) -> Answers:
    """Read the answers file at ``path``.

    Raises:
        UsageError: ``usage.file`` (can't be read), ``config.syntax``, ``config.key``, ``config.value``,
            ``usage.password``; the message names file and key.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the answers file {path}: {error.strerror}", code="usage.file") from error
    return from_document(read_document(data, source=str(path)), source=str(path))


def read_document(data: bytes, *, source: str) -> dict[str, Any]:
    """Return the TOML document in ``data``, not yet checked.

    Raises:
        UsageError: ``config.syntax``.
    """
    if len(data) > MAX_BYTES:
        raise UsageError(f"{source} is longer than {MAX_BYTES} bytes: not an answers file", code="config.syntax")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{source} is not UTF-8 text", code="config.syntax", file=source) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(
            f"{source} is not TOML: {error}", code="config.syntax", hint="Mend the line it names.", file=source
        ) from error


def seed_keys(value: dict[str, Any], *, source: str) -> tuple[str, ...]:
    """Return the SSH keys of a document that carries them and no other answer, or nothing when it has more.

    Such a file opens SSH to the wizard instead of answering it.

    Raises:
        UsageError: the keys have the wrong form.
    """
    owner = value.get("owner")
    if not isinstance(owner, dict) or set(owner) != {"ssh_keys"} or set(value) - {"v", "owner"}:
        return ()
    reader = TableReader(source, "", value)
    reader.integer("v", 1, 1)
    return _ssh_keys(reader.table("owner"))


def from_document(value: dict[str, Any], *, source: str, kept: bool = False) -> Answers:
    """Check a TOML document and return its answers.

    Args:
        source: what messages call the file.
        kept: the document was written by set-up itself, so a restored identity comes without its phrase.
    Raises:
        UsageError: as :func:`load`.
    """
    value, secrets = _without_secrets(value, source)
    reader = TableReader(source, "", value)
    reader.integer("v", 1, 1)
    machine = _machine(reader.table("machine"))
    disk = reader.table("disk")
    answers = Answers(
        machine=machine,
        network=_network(reader.table("network"), secrets, source),
        install_to=disk.text("install_to", "", r"[^\x00-\x1f\x7f]{0,128}", "a disk's serial number, or model:size"),
        owner=_owner(reader.table("owner", required=True), secrets, source),
        identity=_identity(reader.table("identity", required=True), secrets, source, kept=kept),
        node=_node(reader.table("node"), machine.hostname),
        join=_join(reader.table("join", required=True), source),
        restore=_restore(reader.table("restore")),
        encrypt=disk.flag("encrypt", default=False),
    )
    disk.done()
    reader.done()
    if answers.restore.repository and answers.identity.mode != "restore":
        raise _wrong(source, "restore.repository", 'belongs to identity.mode = "restore"')
    return answers


def _without_secrets(value: dict[str, Any], source: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Take the secrets out before anything that puts values into messages sees them; their keys stay."""
    value = {key: dict(part) if isinstance(part, dict) else part for key, part in value.items()}
    secrets: dict[str, str] = {}
    for table, key in _SECRETS:
        part = value.get(table)
        if isinstance(part, dict) and key in part:
            if not isinstance(part[key], str) or not part[key]:
                raise _wrong(source, f"{table}.{key}", "must be text, and not empty")
            secrets[f"{table}.{key}"] = part[key]
            part[key] = "given"
    return value, secrets


def _machine(reader: TableReader) -> MachineAnswers:
    answers = MachineAnswers(
        hostname=reader.text("hostname", MachineAnswers().hostname, HOSTNAME, "a host name: a-z, 0-9, -, at most 63"),
        keymap=reader.text("keymap", MachineAnswers().keymap, KEYMAP, "a keyboard layout such as us, de or ch:fr"),
        timezone=reader.text("timezone", MachineAnswers().timezone, TIMEZONE, "a time zone such as Europe/Berlin"),
    )
    reader.done()
    return answers


def _network(reader: TableReader, secrets: dict[str, str], source: str) -> NetworkAnswers:
    mode = reader.choice("mode", "dhcp", ("dhcp", "static"))
    ssid = reader.text("wifi_ssid", "")
    answers = NetworkAnswers(mode)
    if mode == "static" or ssid:
        answers = replace(
            answers, interface=reader.text("interface", None, INTERFACE, "the name of a network interface")
        )
    if ssid:
        country = reader.text("wifi_country", None)
        reader.text("wifi_passphrase", "")
        passphrase = secrets.get("network.wifi_passphrase", "")
        answers = replace(answers, wifi_ssid=ssid, wifi_country=country, wifi_passphrase=passphrase)
    if mode == "static":
        answers = replace(
            answers,
            address=reader.text("address", None),
            gateway=reader.text("gateway", ""),
            dns=reader.texts("dns", 3, r"[0-9A-Fa-f:.]+"),
            address6=reader.text("address6", ""),
            gateway6=reader.text("gateway6", ""),
        )
    reader.done()
    try:
        check_network(answers)
    except UsageError as error:
        raise _wrong(source, f"network.{error.details['key']}", error.message) from error
    return answers


def _owner(reader: TableReader, secrets: dict[str, str], source: str) -> OwnerAnswers:
    name = reader.text("name", "owner", ACCOUNT, "a login name: a-z, 0-9, _ and -")
    if is_reserved(name):
        reader.wrong("name", "a name that the system does not use itself")
    hashed = _password(reader, secrets, source, "password")
    if not hashed:
        raise UsageError(
            f"{source}: owner.password_hash is missing",
            code="config.key",
            hint="Make one with 'openssl passwd -6', and write it between single quotes.",
            file=source,
            key="owner.password_hash",
        )
    answers = OwnerAnswers(
        name, hashed, _password(reader, secrets, source, "web_password") or hashed, _ssh_keys(reader)
    )
    reader.done()
    return answers


def _password(reader: TableReader, secrets: dict[str, str], source: str, key: str) -> str:
    reader.text(key, "")
    reader.text(f"{key}_hash", "")
    plain, hashed = secrets.get(f"owner.{key}"), secrets.get(f"owner.{key}_hash", "")
    if hashed and not re.fullmatch(HASH_FORM, hashed):
        raise _wrong(
            source, f"owner.{key}_hash", "must be a yescrypt or SHA-512 hash, as 'openssl passwd -6' makes one"
        )
    if plain is None:
        return hashed
    if hashed:
        raise _wrong(source, f"owner.{key}", f"and owner.{key}_hash can't both be given")
    try:
        return hash_password(plain)
    except UsageError as error:
        raise UsageError(
            f"{source}: owner.{key}: {error.message}",
            code=error.code,
            hint=error.hint,
            file=source,
            key=f"owner.{key}",
        ) from None


def _ssh_keys(reader: TableReader) -> tuple[str, ...]:
    return reader.texts("ssh_keys", 32, SSH_KEY)


def _identity(reader: TableReader, secrets: dict[str, str], source: str, *, kept: bool) -> IdentityAnswers:
    mode = reader.choice("mode", "", ("create", "restore"))
    reader.text("phrase", "")
    reader.done()
    phrase = secrets.get("identity.phrase", "")
    if mode == "create" and phrase:
        raise _wrong(source, "identity.phrase", 'belongs to mode = "restore"')
    if mode == "create" or kept:
        return IdentityAnswers(mode)
    if not phrase:
        raise UsageError(
            f"{source}: identity.phrase is missing",
            code="config.key",
            hint='Write the 24 words, or mode = "create".',
            file=source,
            key="identity.phrase",
        )
    try:
        return IdentityAnswers(mode, normalise_phrase(phrase))
    except BpciError as error:
        raise UsageError(
            f"{source}: identity.phrase: {error.message}",
            code="config.value",
            hint=error.hint,
            file=source,
            key="identity.phrase",
        ) from None


def _restore(reader: TableReader) -> RestoreAnswers:
    answers = RestoreAnswers(
        reader.text("repository", "", r"[^\x00-\x1f\x7f]{0,512}", "the place of a repository of backups"),
        reader.text("snapshot", RestoreAnswers().snapshot, r"[0-9a-zA-Z:.+-]{1,64}", "latest, an id, or a time"),
        reader.flag("take_over_ledger", default=False),
    )
    reader.done()
    return answers


def _node(reader: TableReader, hostname: str) -> NodeAnswers:
    answers = NodeAnswers(
        name=reader.text("name", hostname, r"[^\x00-\x1f\x7f]{1,64}", "1 to 64 printable characters"),
        type=reader.choice("type", "bpi-community", NODE_TYPES),
        capabilities=reader.texts("capabilities", MAX_CAPABILITIES, CAPABILITY),
        endpoints=reader.urls("endpoints", 8),
        hardware_profile=reader.choice("hardware_profile", "community", PROFILES),
    )
    reader.done()
    return answers


def _join(reader: TableReader, source: str) -> JoinAnswers:
    mode = reader.choice("mode", "", ("devnet", "network"))
    if mode == "devnet":
        answers = JoinAnswers(mode, name=reader.text("name", "devnet", NAME.pattern, "a-z, 0-9 and -, at most 32"))
    else:
        answers = JoinAnswers(
            mode, network_file=reader.text("network_file", ""), network_url=reader.text("network_url", "")
        )
        if bool(answers.network_file) == bool(answers.network_url):
            raise _wrong(source, "join", "needs exactly one of network_file and network_url")
        if answers.network_url:
            try:
                check_url(answers.network_url)
            except FormatError as error:
                raise _wrong(source, "join.network_url", f"is {error.message}") from None
    reader.done()
    return answers


def _wrong(source: str, key: str, problem: str) -> UsageError:
    return UsageError(f"{source}: {key} {problem}", code="config.value", file=source, key=key)
