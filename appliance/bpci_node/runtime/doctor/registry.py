"""Registry: whether the network's registries answer, are those of this ledger, and agree on the time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bpci_node.errors import BpciError, ProofError
from bpci_node.host.result import Verdict
from bpci_node.network import file as network_file
from bpci_node.network.client import NodeClient
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue
from bpci_node.runtime.doctor.patient import ANSWER_SECONDS, Patient


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking one registry."""

    url: str
    error: BpciError | None
    """Why there was no answer that counts; ``None`` when there was one."""
    ahead_ms: int = 0
    """How far its clock is ahead of this one."""
    uncertainty_ms: int = 0
    """How wrong that may be: half of the exchange."""


def ask(url: str, network: network_file.NetworkFile) -> Answer:
    """Ask one registry for its ledger and its time."""
    try:
        with NodeClient(url, network=network, timeout_seconds=ANSWER_SECONDS) as client:
            client.status()  # the second exchange finds the connection open
            before_ms, start = time.time_ns() // 1_000_000, time.monotonic_ns()
            there_ms = client.status().get("time_ms")
            half_ms = (time.monotonic_ns() - start) // 2_000_000
    except BpciError as error:
        return Answer(url, error)
    if type(there_ms) is not int:
        return Answer(url, ProofError("its status carries no time", code="proof.ledger"))
    return Answer(url, None, there_ms - before_ms - half_ms, half_ms + 1)


def ask_all(patient: Patient) -> list[Answer] | None:
    """Ask every registry that the network file names; ``None`` for a node that is its own.

    Raises:
        FormatError, UsageError: the network file.
        CouldNotTellError: the configuration can't be read.
    """
    path = patient.require_config().ledger.network_file
    if path is None:
        return None
    network = network_file.load(path)
    return [ask(url, network) for url in network.urls]


def judge(answers: Sequence[Answer]) -> tuple[Issue, ...]:
    """Return what is wrong with the registries of a network."""
    if not answers:
        return (
            Issue(
                "registry.none",
                Verdict.FAIL,
                "",
                "the network file names no registry",
                "the node can be neither registered nor activated, and seals nothing",
                "Get a network file with the URL of a registry from somebody whom you trust.",
            ),
        )
    wrong = [answer for answer in answers if answer.error is not None]
    foreign = [answer for answer in wrong if answer.error is not None and answer.error.code == "proof.ledger"]
    found = [
        Issue(
            "registry.other_ledger",
            Verdict.FAIL,
            answer.url,
            f"{answer.url} keeps another ledger than the network file names",
            "nothing that it says is taken",
            "Compare the network file with one from somebody whom you trust.",
        )
        for answer in foreign
    ]
    silent = [answer for answer in wrong if answer not in foreign]
    is_alone = len(wrong) == len(answers)
    found += [
        Issue(
            "registry.unreachable",
            Verdict.FAIL if is_alone else Verdict.WARN,
            answer.url,
            f"{answer.url} does not answer: {answer.error.message if answer.error else ''}",
            "the node goes on until its activation ends, at most three days, and hears of no new blocks there"
            if is_alone
            else "another registry answers, so the node goes on",
            "Check the cable, the name ('resolvectl query'), the firewall and the proxy; 'bpci node status --node URL'"
            " asks it again.",
        )
        for answer in silent
    ]
    return tuple(found)


def _examine(patient: Patient) -> Findings:
    answers = ask_all(patient)
    if answers is None:
        return Findings("the node is its own")
    good = sum(answer.error is None for answer in answers)
    return Findings(f"{good} of {len(answers)} answer", judge(answers))


REGISTRY = Examination("registry", "Registry", _examine)
