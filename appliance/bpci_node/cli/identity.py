"""``bpci identity``: a D-Adhaar, and credentials that are issued, shown and verified.

Claims and keys come from files, never from arguments; what is written for a holder is readable by the holder alone.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.dao import create, dpan
from bpci_node.cli.files import read_file
from bpci_node.cli.output import emit, fields
from bpci_node.cli.sending import (
    account_of,
    key_option,
    load_signer,
    open_ledger,
    optional_key_option,
    place_options,
    render_sent,
    send,
)
from bpci_node.cli.wallet_keys import KeySource
from bpci_node.errors import FormatError, NotFoundError, ProofError, StorageError

if TYPE_CHECKING:
    from bpci_node.cli.sending import Ledger
    from bpci_node.primitives.sdjwt import SdJwt

MAX_FILE_BYTES = 65_536
_LEVELS = {"kyc": "basic", "kyc,aml": "full", "aml,kyc": "full"}

audience_option = click.option("--audience", required=True, metavar="NAME", help="Who verifies.")
nonce_option = click.option("--nonce", required=True, metavar="TEXT", help="What the verifier challenged with.")
out_option = click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE", help="A new file for it."
)
credential_argument = click.argument(
    "credential", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True)
)


@click.group("identity")
def command() -> None:
    """A D-Adhaar, D-PANs, and credentials that are issued, shown and verified."""


command.add_command(create, "create-dpan")
command.add_command(dpan)


@command.command("create-dadhaar")
@key_option
@click.option("--kyc-level", type=click.Choice(["basic", "full"]), help="Ask --authority for this level at once.")
@click.option("--authority", metavar="ACCOUNT", help="With --kyc-level: who is to attest it.")
@place_options
def create_dadhaar(*, key_file: KeySource, kyc_level: str | None, authority: str | None, **place: Any) -> None:
    """Create the identity of a key's account; nothing about a person goes to the ledger.

    \b
    Examples:
      bpci identity create-dadhaar --key mine.key
      bpci identity create-dadhaar --key mine.key --kyc-level full --authority bpa1...
    """
    if (kyc_level is None) != (authority is None):
        raise click.UsageError("--kyc-level and --authority go together")
    signer, as_json = load_signer(key_file), place.pop("as_json")
    with open_ledger(**place) as ledger:
        sent = send(ledger, signer, "identity.create_dadhaar", {})
    if kyc_level is not None:
        with open_ledger(**place) as ledger:
            asked = send(ledger, signer, "identity.request_credential", {"issuer": authority, "level": kyc_level})
        sent = sent | {"height": asked["height"], "events": [*sent["events"], *asked["events"]]}
    emit(sent, as_json, render_sent)


@command.command("show")
@click.argument("account", metavar="ACCOUNT")
@place_options
def show(*, account: str, **place: Any) -> None:
    """Show an identity, its level and credentials, each proved. Exit status 1 if there is none.

    \b
    Examples:
      bpci identity show bpa1...
      bpci identity show bpa1... --network network.json --json
    """
    from bpci_node.chain.credential import kyc_level, load_credential, load_identity, why_not
    from bpci_node.chain.did import key_document
    from bpci_node.chain.reputation import load_reputation
    from bpci_node.network.wire import json_view

    as_json = place.pop("as_json")
    with open_ledger(**place) as ledger:
        identity = load_identity(ledger.state, account)
        if identity is None:
            raise NotFoundError("this account has no D-Adhaar", code="identity.unknown")
        found = [(name, load_credential(ledger.state, name)) for name in identity.credentials]
        time_ms = ledger.state.time_ms
        credentials = [
            json_view(item.as_map()) | {"id": json_view(name), "void": why_not(ledger.state, item, time_ms)}
            for name, item in found
            if item is not None
        ]
        data = {
            "account": account,
            "did": identity.did,
            "document": key_document(identity.did),
            "created_height": identity.created_height,
            "kyc_level": kyc_level(ledger.state, account, time_ms),
            "reputation": load_reputation(ledger.state, account).score,
            "credentials": credentials,
            "height": ledger.state.newest_height,
        }
    emit(data, as_json, _render)


@command.command("issue")
@click.argument("subject", metavar="ACCOUNT")
@click.option("--level", type=click.Choice(["basic", "full"]), required=True, help="What is attested.")
@click.option(
    "--claims",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    required=True,
    metavar="FILE",
    help="A JSON object of claims, each of which the holder may show or keep.",
)
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long it holds.")
@out_option
@key_option
@place_options
def issue(*, subject: str, level: str, claims: Path, days: int, out: Path, key_file: KeySource, **place: Any) -> None:
    """As an authority, issue a credential to an identity that asked for it; the file is for its holder alone.

    \b
    Examples:
      bpci identity issue bpa1... --level full --claims asha.json --out asha.sdjwt --key bank.key
    """
    from bpci_node.chain.credential import credential_id
    from bpci_node.chain.identity import next_index

    signer, as_json = load_signer(key_file), place.pop("as_json")
    with open_ledger(**place) as ledger:
        index = next_index(ledger.state, account_of(ledger, signer))
        expires_ms = (ledger.state.time_ms // 1000 + days * 86_400) * 1000
        credential = _make(ledger, key_file, subject, _claims(claims), (level, index, expires_ms))
        name = credential_id(credential.jwt)
        body = {"credential": name, "subject": subject, "level": level, "index": index, "expires_ms": expires_ms}
        _write(out, credential.encode())
        try:
            sent = send(ledger, signer, "identity.issue_credential", body)
        except Exception:
            out.unlink()
            raise
    emit(sent | {"credential": "0x" + name.hex(), "file": str(out)}, as_json, render_sent)


@command.command("present")
@credential_argument
@click.option("--show", "names", multiple=True, metavar="CLAIM", help="A claim to show; may be given several times.")
@audience_option
@nonce_option
@out_option
@key_option
def present(
    *, credential: Path, names: tuple[str, ...], audience: str, nonce: str, out: Path, key_file: KeySource
) -> None:
    """Show a credential to one verifier, with the claims that you choose. Nothing is sent.

    \b
    Examples:
      bpci identity present asha.sdjwt --show birthdate --audience shop --nonce 8f2c --out shown.sdjwt --key mine.key
    """
    from bpci_node.primitives import sdjwt

    expectation = sdjwt.Expectation(audience, nonce, int(time.time()))
    _write(out, sdjwt.present(_read(credential), names, load_signer(key_file), expectation).encode())


@command.command("verify")
@click.argument(
    "presentation", required=False, metavar="[FILE]", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True)
)
@click.option("--audience", metavar="NAME", help="Who you are to the holder.")
@click.option("--nonce", metavar="TEXT", help="What you challenged the holder with.")
@click.option("--max-age", type=click.IntRange(0), default=10, show_default=True, help="Oldest status, in blocks.")
@click.option("--authority", metavar="ACCOUNT", help="Without a file: let this authority verify you.")
@click.option("--compliance", type=click.Choice(sorted(_LEVELS)), help="With --authority: what it is to attest.")
@optional_key_option
@place_options
def verify(
    *,
    presentation: Path | None,
    audience: str | None,
    nonce: str | None,
    max_age: int,
    authority: str | None,
    compliance: str | None,
    key_file: KeySource | None,
    **place: Any,
) -> None:
    """Verify what a holder shows (exit status 1 if it does not hold), or ask an authority to verify you.

    \b
    Examples:
      bpci identity verify shown.sdjwt --audience shop.example --nonce 8f2c --network network.json
      bpci identity verify --authority bpa1... --compliance kyc,aml --key mine.key
    """
    as_json = place.pop("as_json")
    if presentation is None:
        if authority is None or compliance is None or key_file is None:
            raise click.UsageError("give a file, or --authority, --compliance and --key")
        body = {"issuer": authority, "level": _LEVELS[compliance]}
        with open_ledger(**place) as ledger:
            emit(send(ledger, load_signer(key_file), "identity.request_credential", body), as_json, render_sent)
        return
    if audience is None or nonce is None:
        raise click.UsageError("a file needs --audience and --nonce")
    with open_ledger(**place) as ledger:
        emit(_verify(ledger, _read(presentation), audience, nonce, max_age), as_json, _render_verified)


@command.command("revoke")
@click.argument("credential", metavar="CREDENTIAL_ID")
@key_option
@place_options
def revoke(*, credential: str, key_file: KeySource, **place: Any) -> None:
    """Revoke a credential that you issued, or that was issued to you.

    \b
    Examples:
      bpci identity revoke 0x5f... --key bank.key
    """
    from bpci_node.network.wire import bytes_of

    name = bytes_of(credential, what="a credential's id")
    signer, as_json = load_signer(key_file), place.pop("as_json")
    with open_ledger(**place) as ledger:
        emit(send(ledger, signer, "identity.revoke_credential", {"credential": name}), as_json, render_sent)


def _make(
    ledger: Ledger, key_file: KeySource, subject: str, claims: dict[str, Any], terms: tuple[str, int, int]
) -> SdJwt:
    """Return a credential, bound to the newest key of its subject's account."""
    from bpci_node.chain.account import load_account
    from bpci_node.chain.presentation import credential_claims
    from bpci_node.primitives import sdjwt
    from bpci_node.primitives.keys import did_of

    signer, (level, index, expires_ms) = load_signer(key_file), terms
    account = load_account(ledger.state, subject)
    if account is None:
        raise NotFoundError("there is no such account", code="chain.account")
    opened = credential_claims(
        ledger_id=ledger.ledger_id,
        issuer=account_of(ledger, signer),
        subject=subject,
        level=level,
        index=index,
        expires_ms=expires_ms,
        holder_key=account.keys[-1].public_key,
    )
    hidden = [sdjwt.disclose(os.urandom(16), name, value) for name, value in claims.items()]
    # At least one salt, so that no credential's digest can be guessed.
    hidden.append(sdjwt.disclose(os.urandom(32), "salt", ""))
    return sdjwt.issue(signer, did_of(signer.public_key), opened, hidden)


def _verify(ledger: Ledger, shown: SdJwt, audience: str, nonce: str, max_age: int) -> dict[str, Any]:
    from bpci_node.chain.presentation import verify_presentation
    from bpci_node.primitives.sdjwt import Expectation

    now_s = int(time.time())
    found = verify_presentation(
        ledger.state,
        shown,
        Expectation(audience, nonce, now_s),
        ledger_id=ledger.ledger_id,
        time_ms=now_s * 1000,
    )
    height = ledger.state.height or 0
    known = max(ledger.state.newest_height, int(ledger.client.status()["ledger"]["height"]))
    if known - height > max_age:
        raise ProofError(f"the status is {known - height} blocks old", code="proof.status_age", hint="Try again.")
    return {
        "holds": True,
        "credential": "0x" + found.name.hex(),
        "issuer": found.credential.issuer,
        "subject": found.credential.subject,
        "kyc_level": found.credential.level,
        "claims": found.claims,
        "height": height,
    }


def _claims(path: Path) -> dict[str, Any]:
    from bpci_node.primitives.json_text import read_json

    try:
        found = read_json(read_file(path, MAX_FILE_BYTES), max_bytes=MAX_FILE_BYTES)
    except FormatError as error:
        raise FormatError("the claims are no JSON", code="format.sdjwt") from error
    if type(found) is not dict or not all(type(value) in (str, int, bool) for value in found.values()):
        raise FormatError("the claims are one object of texts, whole numbers and truths", code="format.sdjwt")
    return found


def _read(path: Path) -> SdJwt:
    from bpci_node.primitives.sdjwt import parse

    try:
        return parse(read_file(path, MAX_FILE_BYTES).decode("ascii").strip())
    except UnicodeDecodeError as error:
        raise FormatError("not an SD-JWT: not ASCII", code="format.sdjwt") from error


def _write(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", code="storage.access") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")


def _render(data: dict[str, Any]) -> str:
    attested = [f"{item['level']} by {item['issuer']}{_why(item['void'])}" for item in data["credentials"]]
    return fields(
        {
            "account": data["account"],
            "did": data["did"],
            "level": data["kyc_level"],
            "reputation": str(data["reputation"]),
            "attested": ", ".join(attested) or "nothing",
        }
    )


def _why(void: str | None) -> str:
    return "" if void is None else f" (void: {void})"


def _render_verified(data: dict[str, Any]) -> str:
    claims = {name: str(value) for name, value in data["claims"].items() if name not in ("cnf", "status")}
    return fields({"it": "holds", "level": data["kyc_level"], "issuer": data["issuer"], **claims})
