"""The faucet's page: a form that works without script by a code, and with script by work that the browser does."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from bpci_node.errors import BpciError, FormatError
from bpci_node.gateway.api import address_of
from bpci_node.gateway.body import read_body
from bpci_node.gateway.limits import source_of
from bpci_node.gateway.pages import Page, Pages
from bpci_node.gateway.problems import problem_of

PATH = "/faucet"
FORM = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 2048
_FIELDS = ("account", "purpose", "code")


def faucet_page(pages: Pages) -> APIRouter:
    """Return the routes of the faucet's page; it is linked from the others where there is a faucet."""
    router = APIRouter(include_in_schema=False)
    faucet = pages.node.faucet
    if faucet.is_open:
        pages.navigation.append((PATH, "Faucet"))

    def shown(values: dict[str, Any], *, status: int = 200) -> Page:
        asked = {"account": "", "purpose": "wallet", "grant": None, "problem": None}
        return Page("faucet.html", {"terms": faucet.terms()} | asked | values, status, has_script=True)

    @router.get(PATH)
    async def form(request: Request, account: Annotated[str, Query(max_length=64)] = "") -> Response:
        async def prepare() -> Page:
            return shown({"account": account})

        return await pages.answer(request, prepare)

    @router.post(PATH)
    async def send(request: Request) -> Response:
        async def prepare() -> Page:
            asked = _read_form(request.headers.get("content-type", ""), await read_body(request, MAX_FORM_BYTES))
            given = {"account": asked["account"], "purpose": asked["purpose"]}
            try:
                pages.api.allow_grant(request)
                source = source_of(address_of(request))
                found = await faucet.request(asked["account"], asked["purpose"], source=source, code=asked["code"])
            except BpciError as error:
                problem = problem_of(error)
                return shown(given | {"problem": problem}, status=problem["status"])
            return shown(given | {"grant": found})

        return await pages.answer(request, prepare)

    return router


def _read_form(media_type: str, body: bytes) -> dict[str, str]:
    """Return the fields of the page's form.

    Raises:
        FormatError: it is not that form (``format.media_type``, ``format.request``).
    """
    if media_type.partition(";")[0].strip().lower() != FORM:
        raise FormatError(
            "the form comes as a form", code="format.media_type", hint="Use the page, or /v1/faucet/grants."
        )
    try:
        found = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=8, errors="strict"))
    except ValueError as error:
        raise FormatError("the form can't be read", code="format.request") from error
    values = {name: found.get(name, "").strip() for name in _FIELDS}
    if any(len(value) > 64 for value in values.values()):
        raise FormatError("a field of the form is too long", code="format.request")
    return values
