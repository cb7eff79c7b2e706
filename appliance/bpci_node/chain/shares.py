"""What an auction brought, divided: by the target's policy, then among the partner chains, and to the committee.

Everything here is arithmetic on what it is given; nothing is lost or made, to the smallest unit, in any asset. A policy
names receivers; each is a governance wallet of its name. The partners' part goes on to the owners of partner chains, by
what their chains contributed and by what they have at stake; of the reserve's part the committee is paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bpci_node.chain.wallets import PARTNERS, RESERVE
from bpci_node.primitives.amounts import POLICIES, WHOLE_BPS, apportion, split


@dataclass(frozen=True, slots=True)
class Rates:
    """The governed numbers of a division."""

    contribution_bps: int
    """Share of the partners' part that goes by contribution, basis points; the rest goes by stake."""
    committee_bps: int
    """Share of the reserve's part that the committee is paid, basis points."""


@dataclass(frozen=True, slots=True)
class Division:
    """Who gets what, smallest unit; all of it together is what was divided."""

    wallets: Mapping[str, int]
    """Governance wallet, by name, to amount: what it keeps."""
    partners: Mapping[str, int]
    """Target to what its owner may take."""
    committee: Mapping[str, int]
    """Account of a seat to its pay."""

    @property
    def total(self) -> int:
        """All of it."""
        parts = (self.wallets, self.partners, self.committee)
        return sum(sum(part.values()) for part in parts)


@dataclass(frozen=True, slots=True)
class Partner:
    """A partner chain, as its share is reckoned."""

    contribution: int
    """What its auctions brought in this epoch and the one before, in the asset, at least 0."""
    stake: int
    """What its owner has bonded, at least 0."""


def partner_weights(partners: Mapping[str, Partner], contribution_bps: int) -> dict[str, int]:
    """Return the weights of partner chains, each of which may be 0.

    A weight is ``bps · contribution / all contributions + (10,000 - bps) · stake / all stakes``, brought to whole
    numbers; where nobody contributed, or nobody has anything at stake, the other half counts alone.
    """
    given, bonded = (sum(getattr(item, name) for item in partners.values()) for name in ("contribution", "stake"))
    rest_bps = WHOLE_BPS - contribution_bps
    if given == 0 or bonded == 0:
        return {name: item.contribution + item.stake for name, item in partners.items()}
    return {
        name: contribution_bps * item.contribution * bonded + rest_bps * item.stake * given
        for name, item in partners.items()
    }


def divide(
    total: int, policy: str, *, rates: Rates, partners: Mapping[str, Partner], committee: Mapping[str, int]
) -> Division:
    """Divide what was paid in one asset.

    Args:
        total: smallest unit, at least 0.
        policy: name of one of :data:`POLICIES`.
        partners: target to partner chain.
        committee: account to weight of the seats that are paid.
    """
    wallets = split(total, POLICIES[policy])
    weights = partner_weights(partners, rates.contribution_bps)
    shared: dict[str, int] = {}
    if PARTNERS in wallets and any(weights.values()):
        shared = apportion(wallets.pop(PARTNERS), weights)
    paid: dict[str, int] = {}
    if RESERVE in wallets and any(committee.values()):
        pay = wallets[RESERVE] * rates.committee_bps // WHOLE_BPS
        wallets[RESERVE] -= pay
        paid = apportion(pay, committee)
    return Division(wallets, shared, paid)
