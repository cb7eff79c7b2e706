"""The one place where errors become HTTP replies: RFC 9457 problems with the product's codes, and nothing else."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bpci_node.errors import BpciError, FormatError, LimitError
from bpci_node.network.wire import PROBLEM

log = logging.getLogger("bpci.gateway")

Refuse = Callable[[Request, BpciError, Mapping[str, str] | None], Response]
"""Makes the reply that tells the sender of a request of an error; headers are to be sent with it."""

_STATUS_OF_CODE = {
    "limit.body": 413,
    "format.media_type": 415,
    "format.method": 405,
    "format.path": 404,
    "limit.headers": 431,
    "limit.slow": 408,
    "limit.connections": 503,
}
"""Codes of the gateway whose HTTP status says more than that of their family."""


def problem_of(error: BpciError) -> dict[str, Any]:
    """Return the problem object of ``error`` with the status that it is sent with."""
    problem = error.as_problem()
    problem["status"] = _STATUS_OF_CODE.get(error.code, problem["status"])
    return problem


def problem_response(error: BpciError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the reply that tells the caller of ``error``."""
    problem = problem_of(error)
    sent = dict(headers or {})
    wait = error.details.get("retry_after_seconds")
    if wait is not None:
        sent["Retry-After"] = str(wait)
    return Response(json.dumps(problem), problem["status"], sent, PROBLEM)


def raw_problem(error: BpciError) -> bytes:
    """Return a whole HTTP/1.1 reply for a connection that gets no further; the connection is closed after it."""
    problem = problem_of(error)
    body = json.dumps(problem).encode()
    head = f"HTTP/1.1 {problem['status']} Refused\r\ncontent-type: {PROBLEM}\r\ncontent-length: {len(body)}\r\n"
    return head.encode("ascii") + b"connection: close\r\n\r\n" + body


def fault() -> BpciError:
    """Return the error that stands for a fault of ours; what exactly happened is in the log, not in the reply."""
    return BpciError("the node failed to answer", hint="The node's log has the reason.")


def refuse_with_problem(_request: Request, error: BpciError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the problem for ``error``, whoever asks: a :data:`Refuse`."""
    return problem_response(error, headers)


def install(app: FastAPI, refusal: Refuse = refuse_with_problem) -> None:
    """Let every error that leaves a route of ``app`` become a problem, or what ``refusal`` makes of it."""

    async def refuse(request: Request, error: Exception) -> Response:
        if isinstance(error, BpciError):
            if error.http_status >= 500:
                log.error("%s: %s", error.code, error.message)
            return refusal(request, error, None)
        if isinstance(error, RequestValidationError):
            return refusal(request, _validation_error(error), None)
        if isinstance(error, HTTPException):
            return refusal(request, _http_error(error), error.headers)
        return refusal(request, fault(), None)  # the gate writes the reason into the log

    for kind in (BpciError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, refuse)


def validation_problem(errors: list[Any]) -> FormatError:
    """Return the error for what pydantic found wrong: where, and what was expected; the input is not echoed."""
    found = [
        {"where": "/".join(str(part) for part in item.get("loc", ())), "what": str(item.get("msg", ""))}
        for item in errors[:10]
    ]
    first = found[0] if found else {"where": "body", "what": "is not as expected"}
    return FormatError(
        f"the request is not as the API says: {first['where']}: {first['what']}",
        code="format.request",
        hint="See /openapi.json.",
        errors=found,
    )


def _validation_error(error: RequestValidationError) -> FormatError:
    return validation_problem(list(error.errors()))


def _http_error(error: HTTPException) -> BpciError:
    if error.status_code == 404:
        return FormatError("there is nothing at this path", code="format.path", hint="See /openapi.json.")
    if error.status_code == 405:
        return FormatError("this path does not take this method", code="format.method", hint="See /openapi.json.")
    if error.status_code == 413:
        return LimitError("the body is too long", code="limit.body")
    return FormatError("the request is not as the API says", code="format.request", hint="See /openapi.json.")
