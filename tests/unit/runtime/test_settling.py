import pytest

from bpci_node.auction.certificate import Certificate
from bpci_node.auction.outcome import Kind, Outcome, decode_outcomes, outcome_leaves, outcomes_root
from bpci_node.primitives import merkle
from bpci_node.runtime.settling import PART, settlement_parts


class Header:
    """Settling asks a header for its encoding alone."""

    def encode(self) -> bytes:
        return b"header"


@pytest.mark.parametrize("count", [0, 1, PART, PART + 1, 3 * PART + 7])
def test_the_parts_of_a_settlement_hold_every_outcome_once_and_prove_it(count: int) -> None:
    outcomes = [Outcome(n.to_bytes(32), "bpa1" + "a" * 32, 0, Kind.WON, n) for n in range(count)]
    certificate = Certificate(b"\x0f", bytes(96))
    parts = settlement_parts(Header(), certificate, outcomes)  # type: ignore[arg-type]
    found = []
    for number, part in enumerate(parts):
        shown = decode_outcomes(part["outcomes"])
        assert (part["first"], part["total"]) == (len(found), count)
        assert (part["certificate"] is None) == (number > 0)
        assert len(part["outcomes"]) <= 12_000
        assert len(part["proof"]) <= 64
        if shown:
            leaves = outcome_leaves(shown, first=part["first"], total=count)
            opened = list(enumerate(leaves, part["first"]))
            merkle.verify(opened, count, part["proof"], outcomes_root(outcomes))
        found += shown
    assert found == outcomes
