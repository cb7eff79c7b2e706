"""From a registered node to one that earns: the steps, each of which is done once, and what is still missing.

What is said of the ledger is proved; what is said of windows, committees and times is what a node says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bpci_node.cli.output import Progress
from bpci_node.cli.receiving import coins
from bpci_node.cli.sending import Ledger, account_of, send
from bpci_node.errors import BpciError, NotFoundError, RefusedError, UnreachableError

if TYPE_CHECKING:
    from bpci_node.cli.mining_place import MiningPlace, ValidatorKeys
    from bpci_node.network.client import NodeClient
    from bpci_node.network.file import NetworkFile
    from bpci_node.primitives.keys import LocalSigner

TRIES = 8
"""How often a command is sent again that another one of the node's own overtook."""
NATIVE = "BPI"


@dataclass(frozen=True, slots=True)
class Desk:
    """One account's way to the ledger."""

    client: NodeClient
    """Of the node that makes the blocks."""
    network: NetworkFile
    """What its answers are checked against."""
    signer: LocalSigner
    """The account's key."""

    def ledger(self) -> Ledger:
        """Return the ledger as it is now."""
        from bpci_node.network.proved_state import ProvedState

        return Ledger(self.client, self.network.ledger_id, ProvedState(self.client, self.network.registry_key))

    @property
    def account(self) -> str:
        """The account that the key serves."""
        return account_of(self.ledger(), self.signer)

    def send(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a command; the node's own commands (draws, heartbeats) may come in between, so it is tried again.

        Raises:
            BpciError: the ledger's reason for refusing it.
        """
        for _ in range(TRIES):
            try:
                return send(self.ledger(), self.signer, kind, body)
            except RefusedError as error:
                if error.code != "chain.nonce":
                    raise
                time.sleep(0.2)
        return send(self.ledger(), self.signer, kind, body)


@contextmanager
def open_desk(place: MiningPlace) -> Iterator[Desk]:
    """Reach whoever makes the blocks of a node's ledger.

    Raises:
        UnreachableError: nobody of the network file answers who does (``unreachable.registry``).
    """
    from bpci_node.network.client import NodeClient
    from bpci_node.network.file import load

    signer, file = place.signer(), place.config.ledger.network_file
    network = None if file is None else load(file)
    for url in (place.url,) if network is None else network.urls:
        with NodeClient(url, network=network) as client:
            try:
                is_maker = client.status()["ledger"].get("mode") == "embedded"
                known = network or client.network()
            except UnreachableError:
                continue
            if is_maker:
                yield Desk(client, known, signer)
                return
    raise UnreachableError(
        "nobody who makes the ledger's blocks can be reached",
        code="unreachable.registry",
        hint="Check this machine's network, and ask the network's operator.",
    )


def survey(desk: Desk, place: MiningPlace) -> dict[str, Any]:
    """Return what there is of a mining node, what it waits for, what is missing, and what it has earned."""
    from bpci_node.chain.assets import balance
    from bpci_node.chain.capacity import load_capacity
    from bpci_node.chain.guardians import load_parameter
    from bpci_node.chain.miners import load_miner
    from bpci_node.chain.registration import load_node
    from bpci_node.chain.stake import load_stake
    from bpci_node.chain.validators import load_validator
    from bpci_node.network.wire import json_view

    account, state = desk.account, desk.ledger().state
    node, validator, miner = load_node(state, account), load_validator(state, account), load_miner(state, account)
    stake, capacity = load_stake(state, account), load_capacity(state, account)
    found: dict[str, Any] = {
        "account": account,
        "registered": node is not None and node.status == "active",
        "type": place.config.node.type if node is None else node.node_type,
        "balance": str(balance(state, account, NATIVE)),
        "staked": str(stake.bonded),
        "least_stake": str(load_parameter(state, "validator_min_stake")),
        "validator": None if validator is None else validator.status,
        "miner": None if miner is None else miner.status,
        "pool": None if miner is None else miner.pool,
        "capacity": None if capacity is None else json_view(capacity.as_body()),
        "configured": place.config.validator is not None,
        "earned": earnings(desk, account),
    }
    found |= _auction(place)
    found["counts_from"] = None
    if validator is not None and validator.status == "active":
        with suppress(BpciError):  # so old a block or calendar is gone: it counts for long
            found["counts_from"] = _counts_from(desk, validator.since_height)
    found["missing"] = missing_of(found)
    found["waits_for"] = waits_for(found)
    return found


def earnings(desk: Desk, account: str) -> list[dict[str, Any]]:
    """Return what an account was paid for its seats, by asset; of those in which targets are paid."""
    from bpci_node.chain.earnings import earnings_of

    state = desk.ledger().state
    assets = [str(item["id"]) for item in desk.client.ledger.assets()]
    paid = [(asset, earnings_of(state, account, asset)) for asset in assets]
    return [
        {
            "asset": asset,
            "total": str(item.total),
            "parts": item.parts,
            "epoch": item.epoch,
            "in_epoch": str(item.in_epoch),
        }
        for asset, item in paid
        if item is not None
    ]


def enlist(
    desk: Desk,
    keys: ValidatorKeys,
    *,
    stake: int | None = None,
    commission_bps: int = 500,
    hash_power: int = 0,
    pool: str | None = None,
) -> list[str]:
    """Do what is missing on the ledger: the stake, the validator's keys, the miner. Return what was done.

    Args:
        stake: how much to have at stake, smallest units of BPI; ``None``: the least that a validator needs.
        hash_power: the miner's claim, hashes per second.
    Raises:
        RefusedError: not as much is to be had (``miner.funds``), other keys are registered (``miner.keys``), or the
            ledger's reason.
        BpciError: the ledger's or the faucet's reason.
    """
    from bpci_node.chain.miners import MinerRegistration, load_miner, prove_miner

    done, account = set_up_validator(desk, keys, stake=stake, commission_bps=commission_bps), desk.account
    miner = load_miner(desk.ledger().state, account)
    if miner is None or miner.status != "active":
        proof = prove_miner(desk.signer, ledger_id=desk.network.ledger_id, account=account)
        registration = MinerRegistration(desk.signer.public_key, proof, hash_power, pool)
        desk.send("registry.register_miner", registration.as_body())
        done.append("miner")
    elif pool is not None and (miner.pool, miner.hash_power) != (pool, hash_power):
        desk.send("registry.update_miner", {"hash_power": hash_power, "pool": pool})
        done.append("miner")
    return done


def set_up_validator(
    desk: Desk, keys: ValidatorKeys, *, stake: int | None = None, commission_bps: int = 500
) -> list[str]:
    """See that an account has a stake and a validator on the ledger. Return what was done.

    Args:
        stake: how much to have at stake, smallest units of BPI; ``None``: the least that a validator needs.
    Raises:
        RefusedError: as :func:`enlist`.
        BpciError: the ledger's or the faucet's reason.
    """
    from bpci_node.chain.guardians import load_parameter
    from bpci_node.chain.stake import load_stake
    from bpci_node.chain.validators import load_validator, prove_keys

    done, account, state = [], desk.account, desk.ledger().state
    wanted = load_parameter(state, "validator_min_stake") if stake is None else stake
    short = wanted - load_stake(state, account).bonded
    if short > 0:
        _fund(desk, account, short)
        desk.send("stake.deposit", {"amount": short})
        done.append("stake")
    validator = load_validator(state, account)
    if validator is None or validator.status == "exited":
        body = prove_keys(
            keys.bls,
            keys.vrf,
            keys.ml_dsa,
            ledger_id=desk.network.ledger_id,
            account=account,
            commission_bps=commission_bps,
        )
        desk.send("validator.set_up", body.as_body())
        done.append("validator")
    elif validator.bls_key != keys.bls.public_key:
        raise RefusedError(
            "the ledger knows this validator by other keys than the configuration names",
            code="miner.keys",
            hint="Bring back the former key files; or leave with 'bpci miner stop', and begin again.",
        )
    return done


def _fund(desk: Desk, account: str, amount: int) -> None:
    """See that an account has an amount, out of the faucet where there is one."""
    from bpci_node.chain.admission import find_work
    from bpci_node.chain.assets import balance
    from bpci_node.network.faucet_client import FaucetClient

    short = amount - balance(desk.ledger().state, account, NATIVE)
    if short <= 0:
        return
    reason = "and its network's faucet gives no more"
    try:
        with FaucetClient(desk.client.where) as faucet:
            challenge = faucet.challenge(account, "node")
            if int(challenge.most) >= short:
                progress = Progress()
                progress.update(f"asking the faucet for the stake: proving work of {challenge.bits} bits")
                nonce = "0x" + find_work(challenge.statement, challenge.bits).hex()
                progress.finish()
                faucet.request(account, "node", nonce=nonce, amount=str(short))
                return
    except (NotFoundError, RefusedError) as error:
        reason = f"and the faucet says: {error.message}"
    raise RefusedError(
        f"the node's account lacks {short} smallest units of BPI for its stake, {reason}",
        code="miner.funds",
        hint=f"Send it to {account} ('bpci wallet transfer'), then start this command again.",
        account=account,
        short=str(short),
    )


def _auction(place: MiningPlace) -> dict[str, Any]:
    """Return what the node says of its part in the auctions."""
    from bpci_node.network.auction_client import AuctionClient

    try:
        with AuctionClient(place.url) as client:
            found = client.overview()
    except BpciError:
        return {"serves": False, "epoch": None, "seat": None, "seats": 0}
    return {
        "serves": True,
        "epoch": found["epoch"],
        "seat": found.get("seat"),
        "seats": len(found.get("committee", ())),
    }


def _counts_from(desk: Desk, height: int) -> dict[str, int]:
    """Return the first epoch in which a validator can have a seat, and Unix milliseconds when it begins."""
    from bpci_node.chain.epochs import load_epochs
    from bpci_node.chain.genesis import decode_genesis

    genesis_ms = decode_genesis(desk.client.ledger.genesis()).time_ms
    joined_ms = int(desk.client.ledger.block(height)["block"]["time_ms"]) - genesis_ms
    epochs = load_epochs(desk.ledger().state)
    number = epochs.number_at(joined_ms)
    first = number + (2 if joined_ms < epochs.tickets_close_ms(number) else 3)
    return {"epoch": first, "time_ms": genesis_ms + epochs.begins_ms(first)}


def missing_of(found: dict[str, Any]) -> list[str]:
    """Return what a node still lacks to mine, each thing with the way to it."""
    missing = []
    if not found["registered"]:
        missing.append("the node is not registered: 'bpci node register'")
    if int(found["staked"]) < int(found["least_stake"]):
        missing.append(f"a stake of {coins(found['least_stake'])}")
    if found["validator"] == "jailed":
        missing.append("the validator is jailed: 'bpci validator unjail'")
    elif found["validator"] != "active":
        missing.append("the validator's keys are not on the ledger")
    if found["miner"] != "active":
        missing.append("the miner is not registered")
    if not found["configured"]:
        missing.append("the node's configuration has no [validator]")
    elif not found["serves"]:
        missing.append("the node does not serve in auctions: it does not run, or not with this configuration")
    return missing


def waits_for(found: dict[str, Any]) -> str | None:
    """Return what a node that lacks nothing waits for, ``None`` if it has a seat."""
    if found["missing"]:
        return None
    first = found["counts_from"]
    if first is not None and found["epoch"] is not None and found["epoch"] < first["epoch"]:
        return f"epoch {first['epoch']}, from which its keys count"
    if found["seat"] is None:
        return "a seat in a committee, which is drawn for each epoch by stake"
    return None
