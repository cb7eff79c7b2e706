"""Registry, guard, token, follower and sealing: what decides, and an unreachable registry that is really asked."""

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bpci_node.chain.activation_token import LIFETIME_MS
from bpci_node.errors import ProofError, UnreachableError
from bpci_node.host.result import CouldNotTellError, Verdict
from bpci_node.network.file import NetworkFile
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.config import LedgerSection, NodeConfig
from bpci_node.runtime.doctor import follower, guard, registry, sealing, token
from bpci_node.runtime.doctor.patient import Patient
from bpci_node.runtime.doctor.registry import Answer

NOW = 1_700_000_000_000
GOOD = {"state": "proved", "expires_ms": NOW + LIFETIME_MS, "reason": None, "failure": None}
LEDGER = {"mode": "network", "height": 5, "lag": 0, "heard_ms": NOW, "stopped": None}


def codes(issues: Any) -> list[str]:
    return [issue.code for issue in issues]


def test_a_registry_that_does_not_answer_is_found_by_asking_it(
    patient: Callable[..., Patient], config: NodeConfig, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    key = LocalSigner(bytes(range(32))).public_key
    network = NetworkFile("net:" + "ab" * 32, bytes.fromhex("ab" * 32), key, (f"http://127.0.0.1:{number}",))
    path = tmp_path / "network.json"
    path.write_text(json.dumps(network.as_json()))
    joined = replace(config, ledger=LedgerSection("network", network_file=path))
    found = registry.REGISTRY.examine(patient(config=joined))
    assert found.text == "0 of 1 answer"
    assert codes(found.issues) == ["registry.unreachable"]
    assert registry.REGISTRY.examine(patient()).text == "the node is its own"


def test_one_registry_that_answers_is_enough() -> None:
    silent = Answer("http://a", UnreachableError("no answer", code="unreachable.network"))
    foreign = Answer("http://b", ProofError("another", code="proof.ledger"))
    assert [issue.verdict for issue in registry.judge([silent, Answer("http://c", None)])] == [Verdict.WARN]
    assert [issue.verdict for issue in registry.judge([silent])] == [Verdict.FAIL]
    assert codes(registry.judge([foreign])) == ["registry.other_ledger"]
    assert codes(registry.judge([])) == ["registry.none"]


@pytest.mark.parametrize("state", ["unconfigured", "configured", "expired", "deactivated"])
def test_every_state_in_which_nothing_is_signed_is_an_issue(state: str) -> None:
    assert codes(guard.judge(GOOD | {"state": state})) == [f"guard.{state}"]


def test_only_what_a_new_token_can_mend_has_a_repair() -> None:
    assert guard.judge(GOOD) == ()
    assert set(guard.GUARD.repairs) == {"guard.configured", "guard.expired"}


@pytest.mark.parametrize(
    ("left_ms", "found"),
    [
        (LIFETIME_MS, []),
        (token.SOON_MS + 1, []),
        (token.SOON_MS, [Verdict.WARN]),
        (2 * token.HOUR_MS, [Verdict.WARN]),
        (2 * token.HOUR_MS - 1, [Verdict.FAIL]),
    ],
)
def test_a_token_that_ends_soon_was_not_renewed(left_ms: int, found: list[Verdict]) -> None:
    assert [issue.verdict for issue in token.judge(GOOD | {"expires_ms": NOW + left_ms}, NOW)] == found


def test_no_token_is_the_guard_s_matter() -> None:
    assert token.judge(GOOD | {"expires_ms": None}, NOW) == ()


def test_a_follower_that_stopped_is_never_let_go_on_by_a_program() -> None:
    stopped = LEDGER | {"stopped": {"title": "block 6 does not hold", "code": "sync.difference"}}
    assert codes(follower.judge(stopped, NOW, 0)) == ["follower.stopped"]
    assert not follower.FOLLOWER.repairs


def test_a_follower_that_is_behind_or_hears_nothing_says_so() -> None:
    assert follower.judge(LEDGER, NOW, 0) == ()
    assert codes(follower.judge(LEDGER | {"lag": 21}, NOW, 0)) == ["follower.behind"]
    assert codes(follower.judge(LEDGER | {"height": None, "lag": None}, NOW, NOW)) == ["follower.behind"]
    assert codes(follower.judge(LEDGER, NOW + follower.SILENT_MS + 1, 0)) == ["follower.silent"]
    assert follower.judge(LEDGER | {"heard_ms": None}, NOW, NOW - 1000) == ()
    assert follower.judge(LEDGER | {"mode": "embedded", "heard_ms": None}, NOW, 0) == ()


def test_without_the_node_s_word_nothing_is_made_up(patient: Callable[..., Patient]) -> None:
    for examination in (guard.GUARD, token.TOKEN, follower.FOLLOWER):
        with pytest.raises(CouldNotTellError):
            examination.examine(patient())


def test_sealing_stands_still_when_entries_wait_or_a_signed_bundle_is_gone() -> None:
    hour = sealing.LONG_MS
    assert codes(sealing.judge([sealing.Sealed("t", 3, None, 2, NOW - hour - 1)], NOW)) == ["sealing.idle"]
    assert sealing.judge([sealing.Sealed("t", 3, None, 2, NOW - hour)], NOW) == ()
    assert sealing.judge([sealing.Sealed("t", 0, None, 2, NOW - 9 * hour)], NOW) == ()
    assert sealing.judge([sealing.Sealed("t", 3, None, 0)], NOW) == ()
    assert codes(sealing.judge([sealing.Sealed("t", 0, 1, 2)], NOW)) == ["sealing.restored"]
    assert sealing.judge([sealing.Sealed("t", 0, 3, 2)], NOW) == ()
    assert not sealing.SEALING.repairs


def test_a_validator_s_windows_go_on_or_do_not() -> None:
    serving = {"epochs": 1, "boundaries": 5}
    assert codes(sealing.judge_auction(None, None)) == ["sealing.no_auction"]
    assert codes(sealing.judge_auction(serving, serving)) == ["sealing.stalled"]
    assert sealing.judge_auction(serving, serving | {"boundaries": 6}) == ()
    assert sealing.judge_auction(serving | {"epochs": 0}, serving) == ()
