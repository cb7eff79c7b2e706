"""The shapes of what the API says of wallets and DAOs; see :mod:`bpci_node.gateway.models`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from bpci_node.gateway.models import Amount, Hex


class WalletView(BaseModel):
    """A registered wallet, docs/spec/wallets.md."""

    v: int
    url: str
    account: str
    address: str = Field(description="docs/spec/wallet-address.md")
    role: str
    status: str
    registered_height: int
    updated_height: int


class WalletsReply(BaseModel):
    """Wallets in order of their names."""

    height: int
    network: str = Field(description="mainnet, testnet or devnet.")
    wallets: list[WalletView]
    next: str | None = Field(description="Give it as 'after' for the next page.")


class GovernanceWallet(BaseModel):
    """An account that no key speaks for."""

    name: str
    account: str
    balances: dict[str, Amount]


class GovernanceWalletsReply(BaseModel):
    """The governance wallets and what they hold."""

    height: int
    wallets: list[GovernanceWallet]


class DaoView(BaseModel):
    """A DAO, docs/spec/dao.md."""

    v: int
    id: str = Field(description="Its treasury's account id, too.")
    type: str
    name: str
    charter: Hex
    power: str
    founder: str
    rules: dict[str, Any]
    status: str
    created_height: int


class DaosReply(BaseModel):
    """DAOs in order of their ids."""

    height: int
    daos: list[DaoView]
    next: str | None = Field(description="Give it as 'after' for the next page.")


class DaoReply(BaseModel):
    """A DAO, what it holds, and how large it is."""

    height: int
    dao: DaoView
    treasury: dict[str, Amount]
    members: int
    power: int = Field(description="Of all members together.")
    proposals: int = Field(description="The number of the newest, 0 before the first.")


class Spent(BaseModel):
    """What a member spent in one window of its allowance."""

    window: int
    amount: Amount


class DpanView(BaseModel):
    """The membership of one account in one DAO."""

    v: int
    dao: str
    account: str
    power: int
    rights: dict[str, bool]
    allowance: dict[str, Any] | None
    spent: Spent
    status: str
    joined_height: int
    updated_height: int


class DpansReply(BaseModel):
    """D-PANs: of an account in order of DAOs, or of a DAO in order of members."""

    height: int
    dpans: list[DpanView]
    next: str | None = Field(description="Give it as 'after' for the next page.")


class DaoProposalReply(BaseModel):
    """A proposal in a DAO."""

    height: int
    proposal: dict[str, Any] = Field(description="docs/spec/governance.md")
    passes: bool = Field(description="Whether it would pass as its vote stands.")
