"""``bpci hardware``: hold this machine against a node's requirements."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.files import write_file
from bpci_node.cli.measuring import measure, score
from bpci_node.cli.output import Progress, emit, json_option, say
from bpci_node.cli.vouching import report, show, verify
from bpci_node.errors import BpciError, FormatError, UsageError
from bpci_node.host.profiles import PROFILES, profile_named

if TYPE_CHECKING:
    from bpci_node.host.context import Peer
    from bpci_node.host.result import HardwareReport
    from bpci_node.primitives.keys import Signer

_WIDTHS = (8, 15, 31, 23)
_COLOURS = {"pass": "green", "warn": "yellow", "fail": "red", "unknown": "magenta"}


@click.group("hardware")
def command() -> None:
    """Check this machine against a node's requirements, measure what it can do, and vouch for it."""


for extra in (measure, score, report, verify, show):
    command.add_command(extra)


@command.command("check")
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="community",
    show_default=True,
    help="Requirements to hold it against.",
)
@click.option("--registry", metavar="URL", help="Node of the network to measure bandwidth and time against.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=Path("/var/lib/bpci/node"),
    show_default=True,
    help="Where the node's data lies or will lie; its disk is judged.",
)
@click.option("--disk", metavar="NAME", help="Judge this disk (such as nvme0n1) instead, before anything is on it.")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write a signed report.")
@click.option(
    "--key", type=click.Path(path_type=Path), metavar="FILE", help="The node's key, 32 bytes, for the report."
)
@click.option("--challenge", type=click.Path(path_type=Path), metavar="FILE", help="Registry's challenge to answer.")
@json_option
def check(
    *,
    profile: str,
    registry: str | None,
    data_dir: Path,
    disk: str | None,
    report: Path | None,
    key: Path | None,
    challenge: Path | None,
    as_json: bool,
) -> int:
    """Measure this machine and hold it against a profile.

    Exit status: 0 it meets the profile (perhaps with warnings), 1 it does not, 3 something needed could not be told.
    Some facts (memory modules, firmware variables) are readable by root only.

    \b
    Examples:
      sudo bpci hardware check
      bpci hardware check --profile dev --json
      sudo bpci hardware check --registry http://192.0.2.5:8545
    """
    from bpci_node.host.context import Context
    from bpci_node.host.runner import Step, run_checks

    signer = _signer(key)
    answered = _challenge(report, signer, challenge)
    progress = Progress()

    def show(step: Step) -> None:
        if step.result is None:
            progress.update(f"[{step.index + 1}/{step.total}] {step.title} ...")

    with _peer(registry, signer) as peer:
        context = Context(data_dir=data_dir.absolute(), disk=disk, peer=peer)
        try:
            found = run_checks(context, profile_named(profile), show)
        finally:
            progress.finish()
    data = found.as_object()
    if report is not None and signer is not None and answered is not None:
        data["signed"] = _write_signed(report, signer, answered, found)
    emit(data, as_json, _render)
    _say_what_changed()
    return found.exit_status


def _say_what_changed() -> None:
    """Say if the figures that are kept were measured on other hardware than this."""
    from bpci_node.host.fingerprint import fingerprint
    from bpci_node.host.measure import KEPT, read_kept

    with suppress(BpciError):
        kept = read_kept(KEPT)
        if kept is not None and kept.fingerprint != fingerprint():
            say(
                "the hardware changed since it was measured: run 'bpci hardware measure', then 'bpci hardware report"
                " --register'"
            )


def _signer(key: Path | None) -> Signer | None:
    if key is None:
        return None
    from bpci_node.primitives.keys import LocalSigner
    from bpci_node.runtime.key_files import read_key

    return LocalSigner(read_key(f"file:{key}", key="--key"))


def _peer(registry: str | None, signer: Signer | None) -> AbstractContextManager[Peer | None]:
    if registry is None:
        return nullcontext()
    from bpci_node.host.registry_peer import RegistryPeer
    from bpci_node.primitives.keys import LocalSigner

    # A registry lets any key measure, within its limits; one that is made for this run names nobody.
    try:
        return RegistryPeer(registry, signer or LocalSigner(os.urandom(32)))
    except FormatError as error:
        raise UsageError(error.message, code="host.registry_url", hint=error.hint) from error


def _challenge(report: Path | None, signer: Signer | None, challenge: Path | None) -> bytes | None:
    """Return the challenge to sign over, after all that could stop the report has been looked at."""
    if report is None and challenge is None:
        return None
    if report is None or signer is None or challenge is None:
        raise UsageError(
            "a signed report needs --report, --key and --challenge together",
            code="host.report_options",
            hint="Ask the registry for a challenge: POST /v1/registry/challenge with the node's DID.",
        )
    if not report.parent.is_dir():
        raise UsageError(f"there is no directory {report.parent}", code="usage.file", hint="Create it first.")
    from bpci_node.host.report import read_challenge, require_own_challenge

    try:
        with challenge.open("rb") as file:
            answered = read_challenge(file.read(1 << 16))
    except OSError as error:
        raise UsageError(f"cannot read the challenge {challenge}: {error.strerror}", code="usage.file") from error
    require_own_challenge(signer, answered)
    return answered


def _write_signed(report: Path, signer: Signer, challenge: bytes, found: HardwareReport) -> dict[str, str]:
    from bpci_node.host.report import report_digest, sign_report
    from bpci_node.primitives.keys import did_of

    signed = sign_report(signer, challenge, found)
    write_file(report, signed, name=f"the report {report}")
    return {"file": str(report), "digest": "0x" + report_digest(signed).hex(), "node": did_of(signer.public_key)}


def _render(data: dict[str, Any]) -> str:
    """Return the report for people, at most 80 columns, with the verdict in words."""
    paint = _painter()
    lines = [f"Hardware check, profile {data['profile']}, bpci {data['versions']['bpci']}", ""]
    lines += _row(("verdict", "check", "measured", "required"), None)
    for result in data["results"]:
        word = result["verdict"]
        lines += _row((word, result["title"], result["text"], result["requirement"]), paint)
    hints: dict[str, list[str]] = {}
    for result in data["results"]:
        if result["hint"]:
            hints.setdefault(result["hint"], []).append(result["title"])
    if hints:
        lines += ["", "What to do:"]
        lines += [
            line
            for hint, titles in hints.items()
            for line in textwrap.wrap(f"{', '.join(titles)}: {hint}", 78, initial_indent="- ", subsequent_indent="  ")
        ]
    if "signed" in data:
        signed = data["signed"]
        lines += ["", f"Signed report: {signed['file']}", f"Digest: {signed['digest']}"]
    lines += ["", *_conclusion(data, paint)]
    return "\n".join(lines)


def _conclusion(data: dict[str, Any], paint: Callable[[str, str], str]) -> list[str]:
    word, results = data["verdict"], data["results"]
    failed = sum(result["verdict"] == "fail" for result in results)
    untold = sum(result["verdict"] == "unknown" and result["needed"] for result in results)
    warned = sum(result["verdict"] == "warn" for result in results)
    if word == "pass":
        text = data["note"] + (f" Warnings: {warned}." if warned else "")
    elif word == "fail":
        text = f"{failed} of {len(results)} checks fail for profile {data['profile']}."
    else:
        text = (
            f"Nothing fails, but {untold} of {len(results)} checks that profile {data['profile']} needs could not tell."
        )
    first, *rest = textwrap.wrap(f"{word.upper()}: {text}", 80)
    return [paint(word.upper(), word) + first.removeprefix(word.upper()), *rest]


def _row(cells: tuple[str, str, str, str], paint: Callable[[str, str], str] | None) -> list[str]:
    """Return one row of the table, its cells wrapped; the first cell is painted as the verdict that it names."""
    columns = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, _WIDTHS, strict=True)]
    lines = []
    for parts in zip_longest(*columns, fillvalue=""):
        padded = [part.ljust(width) for part, width in zip(parts, _WIDTHS, strict=True)]
        if paint is not None and parts[0]:
            padded[0] = paint(padded[0], cells[0])
        lines.append(" ".join(padded).rstrip())
    return lines


def _painter() -> Callable[[str, str], str]:
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return lambda text, _verdict: text
    return lambda text, verdict: click.style(text, fg=_COLOURS[verdict], bold=verdict == "fail")
