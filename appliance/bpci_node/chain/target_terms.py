"""The terms on which one target chain's block space is auctioned: classes, phases, tiers, money, service level.

A target is of one of three kinds. ``community`` chains have no party on the ledger; a ``partner`` has an account, which
takes its part of the partners' share; an ``enterprise`` has an account and a service level, and is credited where the
level is missed. The ledger holds the terms of every target; every header names them by their digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.chain.forms import ACCOUNT_FORM, ASSET_FORM
from bpci_node.errors import FormatError
from bpci_node.mempool.classes import QLOCK_MS
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.amounts import MAX_AMOUNT, POLICIES, WHOLE_BPS
from bpci_node.primitives.codec import encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.names import TARGET_FORM

TERMS_CONTEXT = "bpci 2026 target terms v1"

COMMUNITY, PARTNER, ENTERPRISE = "community", "partner", "enterprise"
KINDS = (COMMUNITY, PARTNER, ENTERPRISE)
SLA_TIERS = ("bronze", "silver", "gold")
"""Names of service levels; what one promises is in its own numbers."""

MAX_TARGETS = 64
"""Most targets that a ledger knows, closed ones included."""
MAX_TIERS = 16
MAX_PHASE_MS = 10_000
"""Longest reveal or seal phase."""

_FORMAT = "format.terms"
_FIELDS = (
    *("v", "target", "kind", "owner", "base_fee_wei", "fee_bin_wei", "region", "gas_limit", "classes", "reveal_ms"),
    *("seal_ms", "asset", "wei_per_unit", "forced_gas_bps", "policy", "sla", "tiers"),
)


@dataclass(frozen=True, slots=True)
class Tier:
    """One size of a bond, flat, so that it says nothing of the bid behind it."""

    number: int
    """Its name on the wire, 0 to 255."""
    bond: int
    """What is reserved for a commit, smallest unit of the terms' asset, at least 1."""
    cap: int
    """Most that a reveal under it may pay, 1 <= cap <= bond: whoever wins can pay out of the bond."""

    def as_map(self) -> dict[str, int]:
        """Return the map that is encoded."""
        return {"number": self.number, "bond": self.bond, "cap": self.cap}


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """What an enterprise is promised, and what it is credited for a window that misses it."""

    tier: str
    """One of :data:`SLA_TIERS`."""
    deadline_ms: int
    """A window's header is final so long after the window's commit phase closed, at most; at least 1."""
    credit: int
    """What a window that missed it is worth to the target's owner, smallest unit of the terms' asset, at least 1."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return {"tier": self.tier, "deadline_ms": self.deadline_ms, "credit": self.credit}


@dataclass(frozen=True, slots=True)
class TargetTerms:
    """Everything about one target that bidders, coordinator, notaries and ledger have to agree on."""

    target: str
    """CAIP-2 id of the chain, ``eip155:1``."""
    kind: str
    """One of :data:`KINDS`."""
    owner: str | None
    """Account of the partner or the enterprise; ``None`` for a community chain."""
    base_fee_wei: int
    """Named base fee per gas, wei."""
    fee_bin_wei: int
    """Width of a fee bin, wei."""
    region: int
    """Region of the entries that arrive here, 0 (global) to 255."""
    gas_limit: int
    """Gas that one window may use."""
    classes: tuple[int, ...]
    """Qlock classes that are auctioned, milliseconds, ascending; each is one of 10, 20, 50, 100."""
    reveal_ms: int
    """Length of the reveal phase, 1 to :data:`MAX_PHASE_MS`."""
    seal_ms: int
    """Length of the seal phase, 1 to :data:`MAX_PHASE_MS`."""
    asset: str
    """In which asset bonds are reserved and entries paid."""
    wei_per_unit: int
    """How many wei of the target's fee one smallest unit of the asset pays, at least 1."""
    forced_gas_bps: int
    """Share of the gas limit that is kept for entries that notaries force in, basis points."""
    policy: str
    """Name of the policy by which revenue is divided, one of :data:`bpci_node.primitives.amounts.POLICIES`."""
    sla: ServiceLevel | None
    """The service level; an enterprise's alone, and always there."""
    tiers: tuple[Tier, ...]
    """Sizes of bonds, ascending by number, 1 to :data:`MAX_TIERS`."""

    def __post_init__(self) -> None:
        """Check every range and what the kind asks for.

        Raises:
            FormatError: ``format.terms``, or ``mempool.target``.
        """
        _require(self.kind in KINDS, f"a target's kind is one of {', '.join(KINDS)}")
        _require((self.owner is None) == (self.kind == COMMUNITY), "partners and enterprises alone have an owner")
        _require(self.owner is None or ACCOUNT_FORM.fullmatch(self.owner) is not None, "the owner is an account id")
        _require((self.sla is not None) == (self.kind == ENTERPRISE), "an enterprise has a service level, nobody else")
        _require(TARGET_FORM.fullmatch(self.target) is not None, "the target is a chain id such as eip155:1")
        _require(
            bool(self.classes) and list(self.classes) == sorted(set(self.classes)) and set(self.classes) <= {*QLOCK_MS},
            f"the classes ascend, each once, of {QLOCK_MS}",
        )
        for name in ("reveal_ms", "seal_ms"):
            _require(1 <= getattr(self, name) <= MAX_PHASE_MS, f"{name} lies between 1 and {MAX_PHASE_MS}")
        _require(ASSET_FORM.fullmatch(self.asset) is not None, "the asset is 3 to 8 capital letters")
        _require(1 <= self.wei_per_unit <= MAX_AMOUNT, "wei_per_unit is at least 1")
        _require(0 <= self.forced_gas_bps <= WHOLE_BPS, "forced_gas_bps is a share")
        _require(self.policy in POLICIES, f"the policy is one of {', '.join(POLICIES)}")
        if self.sla is not None:
            _require(self.sla.tier in SLA_TIERS, f"a service level is one of {', '.join(SLA_TIERS)}")
            _require(1 <= self.sla.deadline_ms <= MAX_PHASE_MS * 2, "the deadline of a service level is a time")
            _require(1 <= self.sla.credit <= MAX_AMOUNT, "the credit of a service level is an amount")
        numbers = [tier.number for tier in self.tiers]
        _require(1 <= len(numbers) <= MAX_TIERS and numbers == sorted(set(numbers)), "the tiers ascend, each once")
        for tier in self.tiers:
            _require(0 <= tier.number <= 255 and 1 <= tier.cap <= tier.bond <= MAX_AMOUNT, "a tier has cap <= bond")
        self.config(self.classes[0])

    def config(self, qlock_ms: int) -> TargetConfig:
        """Return the terms on which entries of one class are sorted.

        Raises:
            FormatError: no class of the product (``mempool.target``).
        """
        return TargetConfig(
            id=self.target,
            base_fee_wei=self.base_fee_wei,
            fee_bin_wei=self.fee_bin_wei,
            gas_limit=self.gas_limit,
            region=self.region,
            qlock_ms=qlock_ms,
        )

    def tier(self, number: int) -> Tier | None:
        """Return the tier of that number, ``None`` if there is none."""
        return next((tier for tier in self.tiers if tier.number == number), None)

    def digest(self) -> bytes:
        """Return the digest by which headers name these terms, 32 bytes."""
        return derive(TERMS_CONTEXT, encode(self.as_map()))

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded, stored, and of which JSON is a view."""
        return {
            "v": 1,
            "target": self.target,
            "kind": self.kind,
            "owner": self.owner,
            "base_fee_wei": self.base_fee_wei,
            "fee_bin_wei": self.fee_bin_wei,
            "region": self.region,
            "gas_limit": self.gas_limit,
            "classes": list(self.classes),
            "reveal_ms": self.reveal_ms,
            "seal_ms": self.seal_ms,
            "asset": self.asset,
            "wei_per_unit": self.wei_per_unit,
            "forced_gas_bps": self.forced_gas_bps,
            "policy": self.policy,
            "sla": None if self.sla is None else self.sla.as_map(),
            "tiers": [tier.as_map() for tier in self.tiers],
        }

    @classmethod
    def from_map(cls, value: Any) -> TargetTerms:
        """Return the terms that a map holds.

        Raises:
            FormatError: it holds none (``format.terms``, ``mempool.target``).
        """
        fields = Fields(value, _FIELDS, what="the terms of a target", code=_FORMAT)
        fields.version()
        return cls(
            target=fields.text("target", TARGET_FORM, "a chain id such as eip155:1"),
            kind=_text(fields, "kind"),
            owner=None if fields.is_null("owner") else fields.text("owner", ACCOUNT_FORM, "an account id"),
            base_fee_wei=fields.integer("base_fee_wei"),
            fee_bin_wei=fields.integer("fee_bin_wei", 1),
            region=fields.integer("region", 0, 255),
            gas_limit=fields.integer("gas_limit", 1),
            classes=tuple(_class(item, fields) for item in fields.items("classes", len(QLOCK_MS))),
            reveal_ms=fields.integer("reveal_ms", 1, MAX_PHASE_MS),
            seal_ms=fields.integer("seal_ms", 1, MAX_PHASE_MS),
            asset=fields.text("asset", ASSET_FORM, "3 to 8 capital letters"),
            wei_per_unit=fields.integer("wei_per_unit", 1),
            forced_gas_bps=fields.integer("forced_gas_bps", 0, WHOLE_BPS),
            policy=_text(fields, "policy"),
            sla=None if fields.is_null("sla") else _level(fields.raw("sla")),
            tiers=tuple(_tier(item) for item in fields.items("tiers", MAX_TIERS)),
        )


def _level(value: Any) -> ServiceLevel:
    fields = Fields(value, ("tier", "deadline_ms", "credit"), what="a service level", code=_FORMAT)
    return ServiceLevel(_text(fields, "tier"), fields.integer("deadline_ms", 1), fields.integer("credit", 1))


def _tier(value: Any) -> Tier:
    fields = Fields(value, ("number", "bond", "cap"), what="a tier", code=_FORMAT)
    return Tier(fields.integer("number", 0, 255), fields.integer("bond", 1), fields.integer("cap", 1))


def _class(item: Any, fields: Fields) -> int:
    if type(item) is not int:
        raise fields.wrong("needs integers in 'classes'")
    return item


def _text(fields: Fields, name: str) -> str:
    value = fields.raw(name)
    if type(value) is not str:
        raise fields.wrong(f"needs text in {name!r}")
    return value


def _require(holds: bool, message: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise FormatError(message, code=_FORMAT)
