"""``bpci hardware report``, ``verify`` and ``show``: what the machine is, signed, quoted, registered, and checked."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.files import writing
from bpci_node.cli.measuring import figures_option, read_figures, render_score
from bpci_node.cli.node_config import config_option
from bpci_node.cli.output import Progress, emit, fields, json_option
from bpci_node.errors import BpciError, FormatError, NotFoundError, ProofError, RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bpci_node.cli.mining import Desk
    from bpci_node.host.quote import Quote
    from bpci_node.host.report import SignedReport
    from bpci_node.host.result import HardwareReport

REPORT = Path("/var/lib/bpci/hardware/report.cbor")
SETUP_REPORT = Path("/var/lib/bpci/setup/hardware-report.cbor")
"""The report with which set-up registered the node."""
_MAX_CERTIFICATES = 1000
_NO_QUOTE = "none: this machine has no TPM, or it was not asked"
_UNATTESTED = "a TPM's key signed it; that the TPM is a maker's is not shown"


@click.command("report")
@config_option
@figures_option
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=REPORT, show_default=True, help="The report."
)
@click.option(
    "--profile",
    type=click.Choice(["community", "enterprise", "dev"]),
    help="Requirements to hold it against.  [default: that of the node's report before, or community]",
)
@click.option("--no-tpm", is_flag=True, help="Do not ask the TPM for a quote.")
@click.option("--register", "registers", is_flag=True, help="Name the report in the node's registration.")
@json_option
def report(
    *, config: Path, kept: Path, out: Path, profile: str | None, no_tpm: bool, registers: bool, as_json: bool
) -> None:
    """Check this machine, and sign what was found and measured over a fresh challenge of the registry.

    Where there is a TPM, it vouches for the report. With --register the node's registration names it from then on.

    \b
    Examples:
      sudo bpci hardware report --register
      bpci hardware report --config node.toml --figures figures.cbor --out report.cbor --profile dev --json
    """
    from bpci_node.cli.mining import open_desk
    from bpci_node.cli.mining_place import open_place
    from bpci_node.host.fingerprint import fingerprint
    from bpci_node.host.report import report_digest, sign_measured_report
    from bpci_node.host.score import score_of
    from bpci_node.primitives.keys import did_of
    from bpci_node.store.durable_file import replace_file

    figures = read_figures(kept)
    if figures.fingerprint != fingerprint():
        raise RefusedError(
            "the figures were measured on other hardware than this",
            code="host.other_machine",
            hint="Run 'bpci hardware measure' again.",
        )
    place = open_place(config)
    with open_desk(place) as desk:
        held = profile or profile_before((out, SETUP_REPORT), desk.signer.public_key)
        found = _check(desk, place.config.state_dir, held)
        challenge = desk.client.challenge(desk.signer.public_key)
        quoter = None if no_tpm else _quoter()
        signed = sign_measured_report(desk.signer, challenge.challenge, found, figures, quoter)
    with writing(out):
        out.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_file(out, signed, mode=0o644)
    if registers:
        _register(place.config.owner.socket, signed, challenge.challenge, challenge.signature)
    data = {
        "file": str(out),
        "digest": "0x" + report_digest(signed).hex(),
        "node": did_of(desk.signer.public_key),
        "verdict": found.verdict.value,
        "score": score_of(figures).as_object(),
        "quoted": quoter is not None,
        "registered": registers,
    }
    emit(data, as_json, _render_report)


@click.command("verify")
@click.argument("file", metavar="REPORT", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--node", "url", metavar="URL", help="Node of the network whose registry is asked for the registration.")
@click.option("--network", type=click.Path(path_type=Path, dir_okay=False), help="Check its answer against this file.")
@click.option(
    "--makers",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help="Certificates (PEM or DER) of the makers of TPMs that are trusted.",
)
@json_option
def verify(*, file: Path, url: str | None, network: Path | None, makers: Path | None, as_json: bool) -> None:
    """Check a report: its signature, the TPM's quote, and with --node that a registration names it.

    Exit status 1 if any of that does not hold. A report says what a machine says of itself, and who said it.

    \b
    Examples:
      bpci hardware verify report.cbor
      bpci hardware verify report.cbor --node http://192.0.2.5:8545 --network network.json --makers makers --json
    """
    from bpci_node.host.report import claimed_key, report_digest, verify_report
    from bpci_node.primitives.keys import did_of

    if network is not None and url is None:
        raise UsageError("--network needs --node", code="usage.call")
    signed = _read(file)
    key = claimed_key(signed)
    record = None if url is None else _record(url, network, did_of(key))
    digest = None if record is None else bytes.fromhex(str(record["report_digest"]).removeprefix("0x"))
    found = verify_report(signed, node_key=key, digest=digest)
    data = {
        "node": did_of(key),
        "account": None if record is None else record["account"],
        "digest": "0x" + report_digest(signed).hex(),
        "registered": None if record is None else True,
        "verdict": found.report.verdict.value,
        "profile": found.report.profile,
        "time_ms": found.report.time_ms,
        "score": _score(found),
        "quote": _attestation(found.quote, makers),
    }
    emit(data, as_json, _render_verified)


@click.command("show")
@click.option(
    "--report",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=REPORT,
    show_default=True,
    help="The report that was made last.",
)
@json_option
def show(*, file: Path, as_json: bool) -> int:
    """Show the report that this machine made last, and whether the hardware is still the same. Exit status 1 if not.

    \b
    Examples:
      bpci hardware show
      bpci hardware show --report report.cbor --json
    """
    from bpci_node.host.fingerprint import fingerprint
    from bpci_node.host.report import claimed_key, report_digest, verify_report
    from bpci_node.primitives.keys import did_of

    signed = _read(file)
    key = claimed_key(signed)
    found = verify_report(signed, node_key=key)
    same = None if found.figures is None else found.figures.fingerprint == fingerprint()
    data = {
        "node": did_of(key),
        "digest": "0x" + report_digest(signed).hex(),
        "verdict": found.report.verdict.value,
        "profile": found.report.profile,
        "time_ms": found.report.time_ms,
        "score": _score(found),
        "quoted": found.quote is not None,
        "same_hardware": same,
    }
    emit(data, as_json, _render_shown)
    return 1 if same is False else 0


def profile_before(files: Sequence[Path], node_key: bytes) -> str:
    """Return the profile of the first of these reports that is there and is this node's, ``community`` without one."""
    from bpci_node.host.report import verify_report

    for file in files:
        with suppress(BpciError):
            return verify_report(_read(file), node_key=node_key).report.profile
    return "community"


def _check(desk: Desk, data_dir: Path, profile: str) -> HardwareReport:
    from bpci_node.host.context import Context
    from bpci_node.host.profiles import profile_named
    from bpci_node.host.registry_peer import RegistryPeer
    from bpci_node.host.runner import Step, run_checks

    progress = Progress()

    def tell(step: Step) -> None:
        if step.result is None:
            progress.update(f"[{step.index + 1}/{step.total}] {step.title} ...")

    with RegistryPeer(desk.client.where, desk.signer) as peer:
        try:
            return run_checks(Context(data_dir=data_dir.absolute(), peer=peer), profile_named(profile), tell)
        finally:
            progress.finish()


def _quoter() -> Callable[[bytes], Quote] | None:
    from bpci_node.host.tpm import make_quote, tpm_way

    way = tpm_way()
    return None if way is None else lambda digest: make_quote(way, digest)


def _register(socket: Path, signed: bytes, challenge: bytes, signature: bytes) -> None:
    from bpci_node.host.report import report_digest
    from bpci_node.network.client import NodeClient

    with NodeClient(socket, timeout_seconds=60.0) as owner:
        owner.register(
            {"report_digest": report_digest(signed), "challenge": challenge, "challenge_sig": signature},
        )


def _record(url: str, network: Path | None, did: str) -> dict[str, Any]:
    from bpci_node.network import file as network_file
    from bpci_node.network.client import NodeClient

    trusted = None if network is None else network_file.load(network)
    with NodeClient(url, network=trusted) as client:
        try:
            record = client.node(did)["node"]
        except NotFoundError as error:
            raise ProofError("the node of this report is not registered", code="proof.hardware_report") from error
    if not isinstance(record, dict):
        raise FormatError(f"{url} does not say what is registered", code="format.reply")
    return record


def _attestation(quote: Quote | None, makers: Path | None) -> dict[str, Any]:
    from bpci_node.host.quote import verify_certificate_chain
    from bpci_node.primitives.hashing import sha256

    if quote is None:
        return {"level": "none", "text": _NO_QUOTE, "key": None, "maker": None}
    found = {"level": "unattested", "text": _UNATTESTED, "key": "0x" + sha256(quote.key).hex(), "maker": None}
    if makers is None or quote.certificate is None:
        return found
    maker = verify_certificate_chain(quote.certificate, _certificates(makers))
    text = "a TPM's key signed it, and a trusted maker's certificate of a TPM lies beside it"
    return found | {"level": "certified", "text": text, "maker": maker}


def _certificates(directory: Path) -> list[bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    found = []
    try:
        for path in sorted(item for item in directory.iterdir() if item.is_file())[:_MAX_CERTIFICATES]:
            data = path.read_bytes()[: 1 << 20]
            with suppress(ValueError):
                read = x509.load_pem_x509_certificates(data) if b"-----BEGIN" in data else None
                found += [item.public_bytes(Encoding.DER) for item in read or [x509.load_der_x509_certificate(data)]]
    except OSError as error:
        raise UsageError(f"cannot read {directory}: {error.strerror}", code="usage.file") from error
    return found


def _score(found: SignedReport) -> dict[str, Any] | None:
    from bpci_node.host.score import score_of

    return None if found.figures is None else score_of(found.figures).as_object()


def _read(file: Path) -> bytes:
    from bpci_node.host.report import MAX_BYTES

    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"there is no report {file}", code="host.no_report", hint="Run 'bpci hardware report' first."
        ) from error
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", code="usage.file") from error


def _render_report(data: dict[str, Any]) -> str:
    shown = {
        "report": data["file"],
        "digest": data["digest"],
        "node": data["node"],
        "verdict": data["verdict"],
        "score": f"{data['score']['points']:,}, tier {data['score']['tier']}",
        "TPM": "vouches for it" if data["quoted"] else "does not vouch for it",
        "registration": "names it" if data["registered"] else "does not name it yet: --register",
    }
    return fields(shown)


def _render_verified(data: dict[str, Any]) -> str:
    shown = {
        "node": data["node"],
        "signature": "holds",
        "registration": "not asked for: --node" if data["registered"] is None else f"of {data['account']} names it",
        "verdict": f"{data['verdict']}, profile {data['profile']}",
        "TPM": data["quote"]["text"] + (f" ({data['quote']['maker']})" if data["quote"]["maker"] else ""),
    }
    return "\n".join([fields(shown), *([] if data["score"] is None else [render_score(data["score"])])])


def _render_shown(data: dict[str, Any]) -> str:
    hardware = {
        None: "not told: a report of the checks alone",
        True: "the same as then",
        False: "CHANGED: run 'bpci hardware measure', then 'bpci hardware report --register'",
    }[data["same_hardware"]]
    shown = {
        "node": data["node"],
        "digest": data["digest"],
        "verdict": f"{data['verdict']}, profile {data['profile']}",
        "TPM": "vouches for it" if data["quoted"] else "does not vouch for it",
        "hardware": hardware,
    }
    return "\n".join([fields(shown), *([] if data["score"] is None else [render_score(data["score"])])])
