"""``bpci support``: what to send to somebody who helps."""

from __future__ import annotations

from pathlib import Path

import click

from bpci_node.cli.node_config import NODE_CONFIG
from bpci_node.cli.output import emit, json_option, say


@click.group("support")
def command() -> None:
    """What to send to somebody who helps."""


@command.command("bundle")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The archive to write.")
@json_option
def bundle(out: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes every option by name
    """Write versions, units, logs, the doctor's findings and the configuration, without secrets.

    Keys, phrase, passwords, tokens and the Wi-Fi passphrase are taken out wherever they stand. It is a tar archive of
    text files: read it before you send it. As root it holds more.

    \b
    Examples:
      sudo bpci support bundle --out bpci-support.tar.gz
      tar -xzf bpci-support.tar.gz
    """
    from bpci_node.setup import support
    from bpci_node.setup.system import System

    if not as_json:
        say("gathering, this takes a minute at most ...")
    files = support.gather(System(), _doctor)
    data = support.pack(files)
    support.write(out, data)
    found = {"v": 1, "file": str(out), "bytes": len(data), "holds": sorted(files)}
    emit(found, as_json, lambda item: f"{item['file']}: {len(files)} files, {item['bytes']} bytes")


def _doctor() -> str:
    """Return what the doctor finds as any user may ask it, or why it could not look."""
    import json

    from bpci_node.errors import BpciError
    from bpci_node.host.kernel_clock import read_kernel_clock
    from bpci_node.runtime.config import load
    from bpci_node.runtime.doctor.catalog import EXAMINATIONS
    from bpci_node.runtime.doctor.patient import find_patient
    from bpci_node.runtime.doctor.visit import as_document, examine
    from bpci_node.setup.system import System

    try:
        patient = find_patient(load(NODE_CONFIG), System(), read_kernel_clock)
        return json.dumps(as_document(examine(patient, EXAMINATIONS)), indent=1, ensure_ascii=False)
    except BpciError as error:
        return f"the doctor could not look: {error.message}\n"
