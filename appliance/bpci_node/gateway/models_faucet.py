"""The shapes of what the API says of the faucet; see :mod:`bpci_node.gateway.models`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from bpci_node.gateway.models import Amount, Bytes, Hex, Strict, Version

Account = Annotated[str, Field(pattern=r"^bpa1[a-z2-7]{32}$")]
Purpose = Literal["wallet", "node"]


class FaucetMaxima(BaseModel):
    """The most that is given, smallest unit."""

    wallet: Amount = Field(description="To a wallet, once.")
    community: Amount = Field(alias="bpi-community", description="To a node of this type, in all.")
    enterprise: Amount = Field(alias="bpci-enterprise", description="To a node of this type, in all.")
    hybrid: Amount = Field(description="To a node of this type, in all.")


class FaucetReply(BaseModel):
    """What the faucet gives, and what it takes."""

    v: Version
    network: Literal["testnet", "devnet"]
    asset: str
    decimals: int
    pool: Amount = Field(description="What is left.")
    maxima: FaucetMaxima
    work_bits: int = Field(description="Zero bits that a proof of work begins with.")
    grants_per_source: int = Field(description="Grants for work to one source in a day.")
    waiting: int = Field(description="Grants that wait for their block.")


class FaucetChallenge(BaseModel):
    """What work is done on: SHA-256 of statement and nonce, 8 bytes, begins with so many zero bits."""

    v: Version
    statement: Hex
    bits: int
    expires_ms: int
    most: Amount = Field(description="The most that may be given now.")


class GrantRequest(Strict):
    """A request for a grant, with work or with a code."""

    v: Version
    account: Account
    purpose: Purpose = "wallet"
    amount: Amount | None = Field(None, description="Smallest unit; null: as much as may be.")
    nonce: Bytes | None = Field(None, description="Proof of work, 8 bytes.")
    code: str | None = Field(None, max_length=64, description="A code of the operator's.")


class GrantReply(BaseModel):
    """A grant that stands in the ledger."""

    v: Version
    account: str
    purpose: Purpose
    amount: Amount
    command_id: Hex


class CodesRequest(Strict):
    """How many codes the owner wants."""

    count: int = Field(ge=1, le=100)
