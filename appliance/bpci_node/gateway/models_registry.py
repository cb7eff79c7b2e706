"""The shapes of what the API says of nodes, validators and miners; see :mod:`bpci_node.gateway.models`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from bpci_node.gateway.models import Amount, Hex


class FoundNode(BaseModel):
    """A registered node, and whether it is heard."""

    node: dict[str, Any] = Field(description="As /v1/registry/nodes shows it.")
    liveness: str = Field(description="live, silent or unseen; suspended or retired if it is that.")


class SearchReply(BaseModel):
    """One page of nodes in order of their accounts."""

    height: int
    nodes: list[FoundNode]
    next: str | None = Field(description="Give it as 'after' for the next page; a page may be short and not the last.")


class Heartbeat(BaseModel):
    """The last heartbeat of a node."""

    v: int
    height: int
    time_ms: int
    instance: int
    health: Hex
    count: int


class LivenessReply(BaseModel):
    """Whether a node is heard."""

    height: int
    account: str
    liveness: str
    heartbeat: Heartbeat | None


class AdmissionReply(BaseModel):
    """What a community node needs for a proof of work, docs/spec/ledger.md."""

    height: int = Field(description="The block whose state root the work is bound to.")
    root: Hex
    bits: int
    left: int = Field(description="Nodes that may still be admitted by work in this window.")


class ValidatorMember(BaseModel):
    """A validator of a set."""

    account: str
    bls_key: Hex
    power: Amount


class ValidatorSetReply(BaseModel):
    """The set of validators after a block."""

    height: int = Field(description="Height that was asked for.")
    since_height: int = Field(description="Height of the block after which it is in force.")
    members: list[ValidatorMember]


class ValidatorReply(BaseModel):
    """A validator and what it has at stake."""

    validator: dict[str, Any]
    bonded: Amount
    unbonding: Amount


class MinersReply(BaseModel):
    """One page of miners in order of their accounts."""

    miners: list[dict[str, Any]]
    next: str | None
