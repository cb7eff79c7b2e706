"""``auction.set_target``: which chains are auctioned, on which terms, from which epoch on.

Terms that are set in one epoch are in force from the epoch after the next, so that nobody who has committed on some
terms is judged by others. A target whose terms are taken away is auctioned up to the end of the next epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from bpci_node.chain.assets import find_asset
from bpci_node.chain.context import Context, Event
from bpci_node.chain.epochs import load_epochs
from bpci_node.chain.forms import Form, Spec, text
from bpci_node.chain.guardians import require_quorum
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.target_terms import MAX_TARGETS, TargetTerms
from bpci_node.errors import FormatError, NotFoundError, RefusedError
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.names import TARGET_FORM
from bpci_node.primitives.record import load_record, save_record

MAX_VERSIONS = 12
"""How many terms of one target are remembered: those of as many epochs, at least."""

_LIST_ENTRY = b"auction-targets"


def _read_terms(fields: Fields, name: str) -> TargetTerms | None:
    if fields.is_null(name):
        return None
    try:
        return TargetTerms.from_map(fields.raw(name))
    except FormatError as error:
        raise FormatError(error.message, code="format.body") from error


TARGET = text(TARGET_FORM, "id of a target chain, `eip155:1`")
_TERMS = Form(
    "map, the terms of a target chain (`auction.md`) \\| null",
    _read_terms,
    lambda value: None if value is None else value.as_map(),
)


@dataclass(frozen=True, slots=True)
class TargetChange:
    """Body of ``auction.set_target``, and of the action of that name."""

    target: Annotated[str, Spec(TARGET, "The chain.")]
    terms: Annotated[TargetTerms | None, Spec(_TERMS, "Its terms; null: it is auctioned no more.")]


def check_change(body: TargetChange) -> None:
    """Check that the terms are of that target.

    Raises:
        FormatError: they are not (``format.body``).
    """
    if body.terms is not None and body.terms.target != body.target:
        raise FormatError("the terms are of another target", code="format.body")


def set_target(state: Overlay, context: Context, body: TargetChange) -> list[Event]:
    """Set the terms of a target, or let it go.

    Raises:
        AccessError: without the guardians' quorum (``access.quorum``).
        RefusedError: ``asset.unknown``, too many targets (``auction.targets``), or a target to be closed that is none
            (``auction.target``).
    """
    require_quorum(state, context)
    epoch = load_epochs(state).number_at(context.ledger_ms) + 2
    store_terms(state, body.target, body.terms, epoch)
    return [Event("auction.target_set", {"target": body.target, "epoch": epoch})]


def store_terms(state: Overlay, target: str, terms: TargetTerms | None, epoch: int) -> None:
    """Write the terms that are in force from ``epoch`` on.

    Raises:
        RefusedError: as :func:`set_target`.
    """
    versions, known = _versions(state, target), list_targets(state)
    if terms is not None:
        find_asset(state, terms.asset)
    if not versions:
        if terms is None:
            raise RefusedError("this chain is not auctioned here", code="auction.target")
        if len(known) >= MAX_TARGETS:
            raise RefusedError(f"a ledger knows at most {MAX_TARGETS} target chains", code="auction.targets")
        state.put(_LIST_ENTRY, save_record({"v": 1, "targets": sorted((*known, target))}))
    version = {"epoch": epoch, "terms": None if terms is None else terms.as_map()}
    kept = [*(item for item in versions if item["epoch"] < epoch), version][-MAX_VERSIONS:]
    state.put(_entry(target), save_record({"v": 1, "versions": kept}))


def list_targets(state: View) -> tuple[str, ...]:
    """Return the ids of all targets that the ledger knows, ascending."""
    data = state.get(_LIST_ENTRY)
    return () if data is None else tuple(load_record(data)["targets"])


def terms_of(state: View, target: str, epoch: int) -> TargetTerms:
    """Return the terms on which a target is auctioned in an epoch.

    Raises:
        NotFoundError: it is not auctioned then, or so early terms are not kept any more (``auction.target``).
    """
    found = _map_of(state, target, epoch)
    if found is None:
        raise NotFoundError(f"{target} is not auctioned in epoch {epoch}", code="auction.target", epoch=epoch)
    return TargetTerms.from_map(found)


def party_of(state: View, target: str, epoch: int) -> tuple[str | None, str | None]:
    """Return of which kind a target is in an epoch, and whose; ``None`` where it is not auctioned, or nobody's."""
    found = _map_of(state, target, epoch)
    return (None, None) if found is None else (found["kind"], found["owner"])


def _map_of(state: View, target: str, epoch: int) -> dict[str, Any] | None:
    found = next((item for item in reversed(_versions(state, target)) if item["epoch"] <= epoch), None)
    return None if found is None else found["terms"]


def _versions(state: View, target: str) -> list[dict[str, Any]]:
    data = state.get(_entry(target))
    return [] if data is None else list(load_record(data)["versions"])


def _entry(target: str) -> bytes:
    return b"auction-target/" + target.encode("ascii")
