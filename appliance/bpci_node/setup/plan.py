"""What set-up is going to do: the answers, with everything they refer to found and checked; and how to say it.

A plan holds no recovery phrase and no password; it is what the journal keeps. Making one writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bpci_node.errors import UsageError
from bpci_node.network import file as network_file
from bpci_node.network.file import NetworkFile
from bpci_node.setup.answers import Answers, IdentityAnswers, NetworkAnswers, document
from bpci_node.setup.answers_file import from_document

SOURCE = "the journal of set-up"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the steps need to know, but the secrets."""

    answers: Answers
    """What the person decided; ``identity.phrase`` is empty."""
    network: NetworkFile | None = None
    """The network to join, if it is known already; a URL is asked when the machine has its address."""
    disk: str = ""
    """Kernel name of the internal disk to install to; empty: this machine stays where it is."""

    def as_object(self) -> dict[str, Any]:
        """Return the form that the journal keeps."""
        network = None if self.network is None else self.network.as_json()
        return {"answers": document(self.answers), "network": network, "disk": self.disk}


def plan_of(answers: Answers, *, network: NetworkFile | None = None, disk: str = "") -> Plan:
    """Return the plan of ``answers``; the recovery phrase stays behind."""
    return Plan(replace(answers, identity=IdentityAnswers(answers.identity.mode)), network, disk)


def plan_from_object(value: Any) -> Plan:
    """Return the plan that :meth:`Plan.as_object` has written.

    Raises:
        UsageError: it is none.
        FormatError: its network file is none.
    """
    if not isinstance(value, dict) or set(value) != {"answers", "network", "disk"}:
        raise UsageError(f"{SOURCE} holds no plan", code="usage.journal", hint="Start set-up again.")
    network = None if value["network"] is None else network_file.from_value(value["network"])
    return Plan(from_document(value["answers"], source=SOURCE, kept=True), network, str(value["disk"]))


def in_words(network: NetworkAnswers) -> str:
    """Return how the machine gets its address, in one line; never the passphrase."""
    where = "as it is (DHCP)"
    if network.mode == "static":
        names = f", names from {', '.join(network.dns)}" if network.dns else ""
        second = f" and {network.address6}" if network.address6 else ""
        where = f"{network.interface} {network.address}{second}, gateway {network.gateway or 'none'}{names}"
    elif network.wifi_ssid:
        where = "automatic (DHCP)"
    return f"Wi-Fi {network.wifi_ssid} ({network.interface}), {where}" if network.wifi_ssid else where


def review(plan: Plan, *, disk_label: str = "") -> list[tuple[str, str]]:
    """Return what will be written, as labels and values for a person.

    Args:
        disk_label: model and size of the disk, where there is one to install to.
    """
    answers = plan.answers
    owner, join = answers.owner, answers.join
    web = "same password" if owner.web_password_hash == owner.password_hash else "password of its own"
    keys = f"{len(owner.ssh_keys)} SSH key{'s' if len(owner.ssh_keys) > 1 else ''}" if owner.ssh_keys else "no SSH"
    if join.mode == "devnet":
        ledger = f"a ledger of its own, {join.name}"
    elif plan.network is not None:
        ledger = plan.network.ledger_id[:40]
    else:
        ledger = join.network_url
    lines = [
        ("Machine", f"{answers.machine.hostname}, keyboard {answers.machine.keymap}, {answers.machine.timezone}"),
        ("Network", in_words(answers.network)),
        ("Owner", f"{owner.name}, {keys}, web: {web}"),
        ("Identity", "a new one" if answers.identity.mode == "create" else "restored from its recovery phrase"),
        ("Node", f"{answers.node.name}, {answers.node.type}, profile {answers.node.hardware_profile}"),
        ("Ledger", ledger),
    ]
    if answers.restore.repository:
        lines.append(("Backup", f"{answers.restore.snapshot} of {answers.restore.repository}"))
    if answers.encrypt:
        lines.insert(2, ("Data", "encrypted; opened by the TPM or the disk's recovery key"))
    if plan.disk:
        lines.insert(2, ("Disk", f"{disk_label or plan.disk}: EVERYTHING ON IT IS ERASED"))
    return lines
