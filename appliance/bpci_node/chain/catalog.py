"""Every kind of command: the one table from which commands are run and ``docs/spec/ledger.md`` is written."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bpci_node.chain import bond, escrow, governance_kinds, identity_kinds, registry, rotation, stake, transfer, vesting
from bpci_node.chain.auction_kinds import KINDS as AUCTION_KINDS
from bpci_node.chain.dao_kinds import KINDS as DAO_KINDS
from bpci_node.chain.forms import Empty
from bpci_node.chain.kinds import Kind
from bpci_node.chain.network_kinds import KINDS as NETWORK_KINDS
from bpci_node.chain.node_kinds import NODE_KINDS
from bpci_node.chain.registration import NodeRegistration
from bpci_node.chain.validator_kinds import VALIDATOR_KINDS
from bpci_node.chain.wallet_kinds import KINDS as WALLET_KINDS

_ASSET = ("asset.unknown", "The ledger has the asset.")
_BALANCE = ("asset.balance", "The sender has the amount, after the fee.")
_QUORUM = ("access.quorum", "A quorum of the guardians signed it, the sender among them or not.")
_WALLET_BALANCE = ("asset.balance", "The wallet has the amount.")
_CHALLENGE = (
    ("registry.node_key", "`node_key` is the key that signs the command, which proves possession."),
    ("chain.ledger", "The challenge is of this ledger."),
    ("proof.signature", "The registry signed the challenge."),
    ("registry.challenge_expired", "The challenge has not expired at block time."),
    ("registry.challenge", "The challenge is for `node_key`."),
)

_KINDS = (
    Kind(
        name="account.rotate_key",
        summary="Revokes a current key of the account, adds a key, or replaces one by another in one step.",
        body=rotation.Rotation,
        check=rotation.check_rotation,
        apply=rotation.rotate_key,
        rules=(
            ("format.key", "`public_key` is a usable Ed25519 key."),
            ("account.key", "`revoke` names a current key of the account."),
            ("registry.node_key", "The key of an active node goes only if another takes its place."),
            ("proof.signature", "The new key's holder agreed."),
            ("account.key_revoked", "The new key was never revoked, by any account."),
            ("account.key_in_use", "The new key serves no account."),
            ("account.keys", "The account has at most 8 keys afterwards."),
            ("account.last_key", "The account has a key afterwards."),
        ),
        effects="Keys of the account; the registration of its node follows a replaced key.",
        events=("account.key_revoked", "account.key_added"),
        since=1,
    ),
    Kind(
        name="account.strengthen_key",
        summary="Gives a current key an ML-DSA-44 companion; from the next command on that key signs with both.",
        body=rotation.Strengthening,
        apply=rotation.give_companion,
        rules=(
            ("proof.signature", "The companion's holder agreed."),
            ("account.key", "`key_id` names a current key of the account."),
        ),
        effects="The key's record; a companion that it had is replaced.",
        events=("account.key_strengthened",),
    ),
    Kind(
        name="asset.burn",
        summary="Burns an amount of the sender's.",
        body=transfer.Burning,
        apply=transfer.burn_asset,
        rules=(_ASSET, _BALANCE),
        effects="The sender's balance and the supply fall by the amount.",
        events=("asset.burned",),
    ),
    Kind(
        name="asset.mint",
        summary="Mints an amount, on the strength of a justification.",
        body=transfer.Minting,
        apply=transfer.mint_asset,
        rules=(
            _QUORUM,
            ("asset.justified", "The justification's digest was not used before."),
            _ASSET,
            ("asset.cap", "The supply stays within the asset's cap."),
        ),
        effects="The receiver's balance and the supply rise by the amount; the justification is used up.",
        events=("asset.minted",),
        takes_approvals=True,
    ),
    Kind(
        name="asset.transfer",
        summary="Moves an amount from the sender to another account.",
        body=transfer.Transfer,
        apply=transfer.transfer,
        rules=(_ASSET, ("asset.self", "The receiver is not the sender."), _BALANCE),
        effects="Both balances.",
        events=("asset.transferred",),
    ),
    Kind(
        name="bond.forfeit",
        summary="Takes a bond that the sender holds from its owner, for the treasury.",
        body=bond.Forfeiture,
        apply=bond.forfeit,
        rules=(
            ("bond.unknown", "The sender holds a bond of this id."),
            ("bond.closed", "It was not released."),
        ),
        effects="The bond is closed, and its amount is the treasury's. Once more, it changes nothing and succeeds.",
        events=("bond.forfeited",),
    ),
    Kind(
        name="bond.reclaim",
        summary="Takes back a bond of the sender's that its holder left lying.",
        body=bond.Reclaim,
        apply=bond.reclaim,
        rules=(
            ("bond.unknown", "The holder has a bond of the sender's with this id."),
            ("bond.early", "The block is past the bond's last height."),
            ("bond.closed", "It was not forfeited."),
        ),
        effects="As `bond.release`.",
        events=("bond.released",),
    ),
    Kind(
        name="bond.release",
        summary="Gives a bond that the sender holds back to the escrow that it was taken from.",
        body=bond.BondName,
        apply=bond.release,
        rules=(
            ("bond.unknown", "The sender holds a bond of this id."),
            ("bond.closed", "It was not forfeited."),
        ),
        effects="The bond is closed, and its amount is the escrow's. Once more, it changes nothing and succeeds.",
        events=("bond.released",),
    ),
    Kind(
        name="bond.reserve",
        summary="Reserves a bond from an escrow that the sender holds.",
        body=bond.Reservation,
        apply=bond.reserve,
        rules=(
            ("bond.conflict", "The id is new to the sender, or names an open bond on the very same terms."),
            ("bond.expired", "Its last height has not passed."),
            ("escrow.amount", "The escrow holds the amount; what was announced to leave counts."),
        ),
        effects="The amount goes from the escrow into the bond. Once more on the same terms, it changes nothing.",
        events=("bond.reserved",),
    ),
    Kind(
        name="escrow.announce",
        summary="Announces that an amount leaves an escrow of the sender's.",
        body=escrow.EscrowAmount,
        apply=escrow.announce,
        rules=(("escrow.amount", "The escrow holds the amount."),),
        effects="The amount may leave after `escrow_notice_ms`; it takes the place of an earlier announcement.",
        events=("escrow.announced",),
    ),
    Kind(
        name="escrow.deposit",
        summary="Puts an amount into an escrow, from which its holder may reserve bonds.",
        body=escrow.EscrowAmount,
        apply=escrow.deposit,
        rules=(_ASSET, _BALANCE),
        effects="The amount goes from the sender's balance into the escrow.",
        events=("escrow.deposited",),
    ),
    Kind(
        name="escrow.withdraw",
        summary="Takes what was announced to leave an escrow, as far as it was not reserved meanwhile.",
        body=escrow.EscrowName,
        apply=escrow.withdraw,
        rules=(
            ("escrow.nothing", "Something was announced, and not all of it was reserved."),
            ("escrow.notice", "The notice has passed at block time."),
        ),
        effects="The amount goes from the escrow to the sender's balance.",
        events=("escrow.withdrawn",),
    ),
    Kind(
        name="registry.register_node",
        summary="Registers the node of the sender.",
        body=NodeRegistration,
        apply=registry.register_node,
        rules=(
            *_CHALLENGE,
            ("registry.duplicate", "The account has no active node."),
            ("registry.instance", "A retired node registers again with a higher instance."),
        ),
        effects="The node's record, active.",
        events=("registry.node_registered",),
        since=1,
        is_free=True,
    ),
    Kind(
        name="registry.retire_node",
        summary="Retires the sender's node. Any key of the account may sign it.",
        body=Empty,
        apply=registry.retire_node,
        rules=(
            ("registry.unknown", "The account has a registered node."),
            ("registry.retired", "The node is active."),
        ),
        effects="The record stays, with status `retired`.",
        events=("registry.node_retired",),
        since=1,
        is_free=True,
    ),
    Kind(
        name="registry.update_node",
        summary="States the whole registration of the sender's node anew, report included.",
        body=NodeRegistration,
        apply=registry.update_node,
        rules=(
            *_CHALLENGE,
            ("registry.unknown", "The account has a registered node."),
            ("registry.retired", "The node is active."),
            ("registry.instance", "The instance stays or rises."),
        ),
        effects="The node's record.",
        events=("registry.node_updated",),
        since=1,
        is_free=True,
    ),
    Kind(
        name="stake.claim",
        summary="Takes every withdrawn stake of the sender's that is free.",
        body=Empty,
        apply=stake.claim,
        rules=(("stake.nothing", "A withdrawal is free at block time."),),
        effects="The amounts go to the sender's balance.",
        events=("stake.claimed",),
    ),
    Kind(
        name="stake.deposit",
        summary="Puts BPI of the sender's at stake.",
        body=stake.StakeAmount,
        apply=stake.deposit,
        rules=(_BALANCE,),
        effects="The amount goes from the balance to the stake.",
        events=("stake.deposited",),
    ),
    Kind(
        name="stake.withdraw",
        summary="Begins to withdraw a stake of the sender's, which stays liable for `unbonding_ms`.",
        body=stake.StakeAmount,
        apply=stake.withdraw,
        rules=(
            ("stake.amount", "The amount is at stake."),
            ("stake.unbonding", "Fewer than 16 withdrawals are under way."),
        ),
        effects="The amount unbonds; `stake.claim` takes it once it is free.",
        events=("stake.withdrawn",),
    ),
    Kind(
        name="vesting.claim",
        summary="Takes what has vested of a grant of the sender's.",
        body=vesting.Claim,
        apply=vesting.claim,
        rules=(
            ("vesting.unknown", "The sender has the grant, and something of it is left."),
            ("vesting.nothing", "More has vested at block time than was claimed."),
        ),
        effects="The amount goes to the sender's balance; a grant that was claimed to its end goes.",
        events=("vesting.claimed",),
    ),
    Kind(
        name="vesting.grant",
        summary="Grants an amount of the sender's, which becomes the receiver's as it vests.",
        body=vesting.Grant,
        apply=vesting.grant,
        rules=(
            ("format.schedule", "The schedule is in order."),
            _ASSET,
            ("vesting.exists", "The receiver has no grant of this id."),
            _BALANCE,
        ),
        effects="The amount goes from the sender's balance into the grant, for good.",
        events=("vesting.granted",),
    ),
    Kind(
        name="wallet.distribute",
        summary="Divides an amount of a governance wallet among others by a named policy.",
        body=transfer.Distribution,
        apply=transfer.distribute,
        rules=(_QUORUM, _ASSET, _WALLET_BALANCE),
        effects="The balances of the wallets; the parts sum to the amount.",
        events=("wallet.distributed",),
        takes_approvals=True,
    ),
    Kind(
        name="wallet.spend",
        summary="Pays out of a governance wallet.",
        body=transfer.Spending,
        apply=transfer.spend,
        rules=(_QUORUM, _ASSET, ("asset.self", "The receiver is not the wallet."), _WALLET_BALANCE),
        effects="Both balances.",
        events=("wallet.spent",),
        takes_approvals=True,
    ),
)

_ALL = (
    *_KINDS,
    *AUCTION_KINDS,
    *DAO_KINDS,
    *governance_kinds.KINDS,
    *identity_kinds.KINDS,
    *NODE_KINDS,
    *NETWORK_KINDS,
    *VALIDATOR_KINDS,
    *WALLET_KINDS,
)

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in sorted(_ALL, key=lambda kind: kind.name)})
"""Every kind of command, by name, in order of names."""
