"""Pages of proposals."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bpci_node.chain.governance import find_proposal, has_passed
from bpci_node.chain.state import View
from bpci_node.errors import NotFoundError, RefusedError
from bpci_node.gateway.pages import PAGE_ROWS, Page, Pages, in_thread
from bpci_node.primitives.record import load_record

_NEWEST = 2**62


def proposal_pages(pages: Pages) -> APIRouter:
    """Return the routes of proposals."""
    router = APIRouter(include_in_schema=False)
    lookups = pages.node.lookups

    @router.get("/proposals")
    async def proposals(request: Request, before: Annotated[int, Query(ge=1, le=_NEWEST)] = _NEWEST) -> Response:
        def prepare() -> Page:
            machine = lookups.current()
            counted = machine.state.get(b"proposal-count")
            last = 0 if counted is None else int(load_record(counted)["count"])
            top = min(before - 1, last)
            numbers = range(top, max(0, top - PAGE_ROWS), -1)
            rows = [{"number": number} | _view(machine.state, machine.height, number) for number in numbers]
            following = numbers[-1] if numbers and numbers[-1] > 1 else None
            return Page("proposals.html", {"rows": rows, "next": following, "is_first": before == _NEWEST})

        return await pages.answer(request, in_thread(prepare))

    @router.get("/proposals/{number}")
    async def proposal(request: Request, number: Annotated[int, Path(ge=1, le=9_999_999_999)]) -> Response:
        def prepare() -> Page:
            machine = lookups.current()
            try:
                view = _view(machine.state, machine.height, number)
            except RefusedError as error:
                raise NotFoundError(error.message, code=error.code) from error
            key = f"proposal/{number:010d}".encode("ascii")
            return Page("proposal.html", view | {"number": number, "height": machine.height, "key": key})

        return await pages.answer(request, in_thread(prepare))

    return router


def _view(state: View, height: int, number: int) -> dict[str, Any]:
    """Return a proposal as it is stored, and in which of its periods it is."""
    record = find_proposal(state, number)
    phase = str(record["status"])
    if phase == "open":
        if height < record["vote_until"]:
            phase = "voting"
        elif not has_passed(record):
            phase = "not passed"
        elif height < record["veto_until"]:
            phase = "passed, may be vetoed"
        else:
            phase = "passed, may be executed" if height < record["last_height"] else "lapsed"
    return {"record": record, "phase": phase}
