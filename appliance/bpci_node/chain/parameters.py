"""What a ledger begins with besides its name and key: assets, allocations, guardians, parameters, targets of auctions.

A genesis of version 2 carries all of it; one of version 1 has the defaults: no assets, no fees, and the registry key as
its only guardian. The parameters are state from the first block on, so that governance can change them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bpci_node.chain.forms import ACCOUNT_FORM, ASSET_FORM
from bpci_node.chain.target_terms import MAX_TARGETS, TargetTerms
from bpci_node.errors import FormatError
from bpci_node.primitives.amounts import MAX_AMOUNT
from bpci_node.primitives.fields import MAX_INT, Fields
from bpci_node.primitives.keys import require_public_key

NATIVE = "BPI"
"""The asset in which fees are paid and stakes are held."""
NETWORKS = ("mainnet", "testnet", "devnet")
MAX_ASSETS, MAX_ALLOCATIONS, MAX_GUARDIANS = 16, 4096, 15

_DAY_MS = 86_400_000
_FORMAT = "format.genesis"


@dataclass(frozen=True, slots=True)
class ParameterRule:
    """One governed parameter."""

    low: int
    """Least value."""
    high: int
    """Greatest value."""
    default: int
    """Value where the genesis names none: fixed once released, or older ledgers would change their rules unasked."""
    doc: str
    """What it is, with its unit."""


PARAMETERS: Mapping[str, ParameterRule] = MappingProxyType(
    {
        "admission_bits": ParameterRule(
            0, 64, 20, "Zero bits that the proof of work of a node without an invitation begins with."
        ),
        "admission_window": ParameterRule(1, 10**6, 100, "Length of a window of admissions, blocks."),
        "admissions_per_window": ParameterRule(
            0, 10**6, 100, "Most nodes that are admitted by work, and most by invitation, in one window."
        ),
        "auction_committee_bps": ParameterRule(
            0, 10_000, 2000, "Share of what a settlement brings the reserve that goes to the committee, basis points."
        ),
        "auction_committee_size": ParameterRule(1, 64, 7, "Seats of an epoch's committee, at most."),
        "auction_contribution_bps": ParameterRule(
            0,
            10_000,
            5000,
            "Share of the partners' part that goes by contribution; the rest goes by stake, basis points.",
        ),
        "auction_epoch_ms": ParameterRule(2000, 7 * _DAY_MS, 600_000, "Length of an epoch, milliseconds."),
        "auction_forfeit_bps": ParameterRule(
            0, 10_000, 5000, "What a commit that is not revealed loses of its bond the first time, basis points."
        ),
        "auction_forfeit_epochs": ParameterRule(
            0, 10**6, 144, "How many epochs an unrevealed commit is remembered: each one raises the next one's loss."
        ),
        "commission_period": ParameterRule(0, 10**9, 1000, "Between two changes of a commission, blocks."),
        "commission_step_bps": ParameterRule(0, 10_000, 500, "Most by which a commission changes, basis points."),
        "escrow_notice_ms": ParameterRule(
            0, 90 * _DAY_MS, _DAY_MS, "How long before it leaves an escrow an amount is announced, milliseconds."
        ),
        "faucet_community": ParameterRule(
            0, 10**18, 1_000 * 10**8, "Most that the faucet grants to a community node, smallest units of BPI."
        ),
        "faucet_enterprise": ParameterRule(
            0, 10**18, 10_000 * 10**8, "Most that the faucet grants to an enterprise node, smallest units of BPI."
        ),
        "faucet_hybrid": ParameterRule(
            0, 10**18, 5_000 * 10**8, "Most that the faucet grants to a hybrid node, smallest units of BPI."
        ),
        "faucet_wallet": ParameterRule(
            0, 10**18, 1_500 * 10**8, "Most that the faucet grants to a wallet, once, smallest units of BPI."
        ),
        "fee_min": ParameterRule(0, 10**15, 0, "Least fee of a command that is not free, smallest units of BPI."),
        "governance_quorum_bps": ParameterRule(
            500, 10_000, 2000, "Least share of all that is bonded that votes, basis points."
        ),
        "governance_threshold_bps": ParameterRule(
            5000, 9999, 5000, "Share of yes among yes and no that a proposal exceeds, basis points."
        ),
        "governance_veto_blocks": ParameterRule(1, 10**7, 1000, "How long the guardians may stop it after the vote."),
        "governance_voting_blocks": ParameterRule(2, 10**7, 10_000, "How long a proposal is voted on, blocks."),
        "guardians_last_height": ParameterRule(
            0, 2**62, 100_000_000, "Last height at which the guardians' quorum counts; then votes alone do."
        ),
        "heartbeat_interval": ParameterRule(1, 10**6, 10, "Least distance of two heartbeats of one node, blocks."),
        "heartbeat_patience": ParameterRule(
            1, 10**9, 100, "After so many blocks without a heartbeat a node counts as silent."
        ),
        "jail_blocks": ParameterRule(0, 10**9, 1000, "How long a validator is jailed, blocks."),
        "slash_bps": ParameterRule(
            0, 10_000, 500, "What a validator that contradicts itself loses of all it has at stake, basis points."
        ),
        "unbonding_ms": ParameterRule(
            0, 365 * _DAY_MS, 14 * _DAY_MS, "How long a stake that is withdrawn stays liable, milliseconds."
        ),
        "validator_min_stake": ParameterRule(
            0, 10**18, 10**11, "Least that a validator has bonded, smallest units of BPI."
        ),
    }
)
"""Every governed parameter, by name."""


@dataclass(frozen=True, slots=True)
class AssetRule:
    """An asset of the genesis's table."""

    id: str
    """3 to 8 capital letters."""
    decimals: int
    """Digits after the point when it is shown, 0 to 18."""
    cap: int
    """Most units that may ever be there at one time, smallest unit."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something vests: nothing before the cliff, then in proportion to time, all of it at the end."""

    start_ms: int
    """Where the proportion begins, Unix milliseconds."""
    cliff_ms: int
    """Before this, nothing; start <= cliff <= end."""
    end_ms: int
    """From this on, all; later than the start."""

    def __post_init__(self) -> None:
        """Check the order of the three.

        Raises:
            FormatError: they are out of order (``format.schedule``).
        """
        if not (self.start_ms <= self.cliff_ms <= self.end_ms and self.start_ms < self.end_ms):
            raise FormatError(
                "a schedule needs start <= cliff <= end, and an end after its start", code="format.schedule"
            )

    def vested(self, amount: int, time_ms: int) -> int:
        """Return how much of ``amount`` has vested at ``time_ms``, rounded down."""
        if time_ms < self.cliff_ms:
            return 0
        if time_ms >= self.end_ms:
            return amount
        return amount * (time_ms - self.start_ms) // (self.end_ms - self.start_ms)

    def as_map(self) -> dict[str, int]:
        """Return the map that is stored."""
        return {"start_ms": self.start_ms, "cliff_ms": self.cliff_ms, "end_ms": self.end_ms}


@dataclass(frozen=True, slots=True)
class Allocation:
    """What an account has from the beginning."""

    to: str
    """Account id."""
    asset: str
    """An asset of the table."""
    amount: int
    """Smallest unit, at least 1."""
    vesting: Schedule | None
    """When it becomes the account's; ``None``: at once."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a genesis of version 2."""

    network: str = "devnet"
    """One of :data:`NETWORKS`."""
    assets: tuple[AssetRule, ...] = ()
    """In order of their ids, each once; BPI among them."""
    allocations: tuple[Allocation, ...] = ()
    """In any order; they count as the genesis's part of each supply."""
    guardians: tuple[bytes, ...] = ()
    """Ed25519 keys, ascending, each once."""
    threshold: int = 1
    """How many guardians make a quorum, more than half of them."""
    values: Mapping[str, int] = field(default_factory=dict)
    """Governed parameters that differ from their defaults, by name."""
    written: frozenset[str] = frozenset(PARAMETERS)
    """Names of those that the genesis writes out. One that came into being after it has its default, for good."""
    targets: tuple[TargetTerms, ...] = ()
    """Chains that are auctioned from the first committee on, in order of their ids, each once."""

    def __post_init__(self) -> None:
        """Check everything that does not depend on the encoding.

        Raises:
            FormatError: something is outside its range or contradicts another part (``format.genesis``).
        """
        ids = [asset.id for asset in self.assets]
        _require(self.network in NETWORKS, f"the network is one of {', '.join(NETWORKS)}")
        _require(ids == sorted(set(ids)) and NATIVE in ids, "the assets come in order of their ids, BPI among them")
        _require(len(ids) <= MAX_ASSETS, f"there are at most {MAX_ASSETS} assets")
        for asset in self.assets:
            _require(ASSET_FORM.fullmatch(asset.id) is not None, "an asset's id is 3 to 8 capital letters")
            _require(0 <= asset.decimals <= 18 and 1 <= asset.cap <= MAX_AMOUNT, f"{asset.id} is outside its range")
        _require(len(self.allocations) <= MAX_ALLOCATIONS, f"there are at most {MAX_ALLOCATIONS} allocations")
        for allocation in self.allocations:
            _require(ACCOUNT_FORM.fullmatch(allocation.to) is not None, "an allocation goes to an account id")
            _require(allocation.asset in ids and allocation.amount >= 1, "an allocation is of an asset of the table")
        for asset in self.assets:
            _require(self.supply(asset.id) <= asset.cap, f"the allocations of {asset.id} exceed its cap")
        _require(list(self.guardians) == sorted(set(self.guardians)), "the guardians' keys ascend, each once")
        _require(1 <= len(self.guardians) <= MAX_GUARDIANS, f"there are 1 to {MAX_GUARDIANS} guardians")
        for key in self.guardians:
            require_public_key(key)
        _require(len(self.guardians) < 2 * self.threshold <= 2 * len(self.guardians), "a quorum is more than half")
        for name, value in self.values.items():
            rule = PARAMETERS.get(name)
            _require(rule is not None and rule.low <= value <= rule.high, "a governed parameter is outside its range")
        _require(self.values.keys() <= self.written <= PARAMETERS.keys(), "a governed parameter is not written out")
        names = [terms.target for terms in self.targets]
        _require(names == sorted(set(names)), "the targets come in order of their ids, each once")
        _require(len(names) <= MAX_TARGETS, f"there are at most {MAX_TARGETS} targets")
        _require(all(terms.asset in ids for terms in self.targets), "a target is paid in an asset of the table")

    def supply(self, asset: str) -> int:
        """Return how much of ``asset`` is allocated."""
        return sum(allocation.amount for allocation in self.allocations if allocation.asset == asset)

    def value(self, name: str) -> int:
        """Return the governed parameter of that name."""
        return self.values.get(name, PARAMETERS[name].default)

    def as_map(self) -> dict[str, Any]:
        """Return the map that the genesis carries; one without targets has no field for them, as older ones have."""
        found = {
            "network": self.network,
            "assets": [{"id": item.id, "decimals": item.decimals, "cap": item.cap} for item in self.assets],
            "allocations": [
                {
                    "to": item.to,
                    "asset": item.asset,
                    "amount": item.amount,
                    "vesting": None if item.vesting is None else item.vesting.as_map(),
                }
                for item in self.allocations
            ],
            "guardians": list(self.guardians),
            "threshold": self.threshold,
            "values": {name: self.value(name) for name in PARAMETERS if name in self.written},
        }
        return found | ({"targets": [terms.as_map() for terms in self.targets]} if self.targets else {})


def parse_parameters(value: Any) -> Parameters:
    """Return the parameters that a genesis of version 2 carries.

    Raises:
        FormatError: they are outside their form (``format.genesis``, ``format.key``, ``format.schedule``).
    """
    has_targets = type(value) is dict and "targets" in value
    names = ("network", "assets", "allocations", "guardians", "threshold", "values", *(("targets",) * has_targets))
    fields = Fields(value, names, what="the parameters of a genesis", code=_FORMAT)
    targets = tuple(_target(item) for item in fields.items("targets", MAX_TARGETS)) if has_targets else ()
    _require(bool(targets) or not has_targets, "targets that are named are at least one")
    named = fields.raw("values")
    written = tuple(name for name in PARAMETERS if type(named) is dict and name in named)
    values = Fields(named, written, what="the governed parameters", code=_FORMAT)
    return Parameters(
        network=_text(fields.raw("network")),
        assets=tuple(_asset(item) for item in fields.items("assets", MAX_ASSETS)),
        allocations=tuple(_allocation(item) for item in fields.items("allocations", MAX_ALLOCATIONS)),
        guardians=tuple(_key(item) for item in fields.items("guardians", MAX_GUARDIANS)),
        threshold=fields.integer("threshold", 1, MAX_GUARDIANS),
        values={name: values.integer(name, PARAMETERS[name].low, PARAMETERS[name].high) for name in written},
        written=frozenset(written),
        targets=targets,
    )


def parse_schedule(value: Any, *, code: str) -> Schedule:
    """Return the schedule that a map holds.

    Raises:
        FormatError: it holds none (``code``, ``format.schedule``).
    """
    fields = Fields(value, ("start_ms", "cliff_ms", "end_ms"), what="a vesting schedule", code=code)
    return Schedule(fields.integer("start_ms"), fields.integer("cliff_ms"), fields.integer("end_ms"))


def _asset(item: Any) -> AssetRule:
    fields = Fields(item, ("id", "decimals", "cap"), what="an asset", code=_FORMAT)
    return AssetRule(
        fields.text("id", ASSET_FORM, "3 to 8 capital letters"), fields.integer("decimals"), fields.integer("cap")
    )


def _allocation(item: Any) -> Allocation:
    fields = Fields(item, ("to", "asset", "amount", "vesting"), what="an allocation", code=_FORMAT)
    return Allocation(
        to=fields.text("to", ACCOUNT_FORM, "an account id"),
        asset=fields.text("asset", ASSET_FORM, "an asset id"),
        amount=fields.integer("amount", 1, MAX_INT),
        vesting=None if fields.is_null("vesting") else parse_schedule(fields.raw("vesting"), code=_FORMAT),
    )


def _target(item: Any) -> TargetTerms:
    try:
        return TargetTerms.from_map(item)
    except FormatError as error:
        raise FormatError(error.message, code=_FORMAT) from error


def _text(value: Any) -> str:
    _require(type(value) is str, f"the network is one of {', '.join(NETWORKS)}")
    return str(value)


def _key(value: Any) -> bytes:
    _require(type(value) is bytes, "a guardian is an Ed25519 key of 32 bytes")
    return bytes(value)


def _require(holds: bool, message: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise FormatError(message, code=_FORMAT)
