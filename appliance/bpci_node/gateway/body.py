"""Bodies of requests and replies: read with a limit and a deadline, decoded from CBOR or JSON, encoded as asked."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bpci_node.errors import FormatError, LimitError
from bpci_node.gateway.problems import validation_problem
from bpci_node.network.wire import CBOR, JSON, json_view
from bpci_node.primitives import codec
from bpci_node.primitives.json_text import read_json

Model = TypeVar("Model", bound=BaseModel)

BODY_SECONDS = 30.0
"""Time that a client has for sending a body, and as much again for each further MiB."""
MAX_JSON_BYTES = 1 << 20
"""Longest JSON body: JSON is for people, large bodies are CBOR."""


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Return the whole body.

    Raises:
        LimitError: longer than ``limit_bytes`` (``limit.body``), or too slow (``limit.slow``).
    """
    return b"".join([part async for part in stream_body(request, limit_bytes)])


async def digest_body(request: Request, limit_bytes: int) -> tuple[int, bytes]:
    """Return length and SHA-256 of the body, without keeping it.

    Raises:
        LimitError: as :func:`read_body`.
    """
    digest, size = hashlib.sha256(), 0
    async for part in stream_body(request, limit_bytes):
        digest.update(part)
        size += len(part)
    return size, digest.digest()


async def stream_body(request: Request, limit_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body's parts; reading ends at the first part that goes beyond ``limit_bytes``.

    Raises:
        LimitError: as :func:`read_body`.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit_bytes:
        raise _too_long(limit_bytes)
    size = 0
    allowed = BODY_SECONDS * (1 + limit_bytes // (1 << 20))
    try:
        async with asyncio.timeout(allowed):
            async for part in request.stream():
                size += len(part)
                if size > limit_bytes:
                    raise _too_long(limit_bytes)
                yield part
    except TimeoutError as error:
        raise LimitError("the body did not arrive in time", code="limit.slow") from error
    except ClientDisconnect as error:
        raise FormatError("the connection ended inside the body", code="format.request") from error


def decode_body(request: Request, body: bytes) -> Any:
    """Return the value of a body in CBOR or JSON, by its media type.

    Raises:
        FormatError: another media type (``format.media_type``), or not an encoding of it (``format.cbor``,
            ``format.json``).
        LimitError: too long for JSON (``limit.body``).
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == CBOR:
        return codec.decode(body, max_bytes=len(body))
    if media_type != JSON:
        raise FormatError(
            "the body must be application/cbor or application/json",
            code="format.media_type",
            hint="Send the header Content-Type.",
        )
    if len(body) > MAX_JSON_BYTES:
        raise _too_long(MAX_JSON_BYTES)
    return read_json(body, max_bytes=MAX_JSON_BYTES)


def as_model(model: type[Model], value: Any) -> Model:
    """Return ``value`` checked against ``model``.

    Raises:
        FormatError: it doesn't fit (``format.request``).
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise validation_problem(error.errors(include_url=False, include_input=False)) from error


def reply(request: Request, value: Any, *, status: int = 200) -> Response:
    """Return ``value`` in CBOR if the caller accepts it by name, else its JSON view.

    Args:
        value: of the codec's subset.
    """
    if CBOR in request.headers.get("accept", ""):
        return Response(codec.encode(value), status, media_type=CBOR)
    return Response(json.dumps(json_view(value)), status, media_type=JSON)


def _too_long(limit_bytes: int) -> LimitError:
    return LimitError(
        f"the body is longer than {limit_bytes} bytes", code="limit.body", hint="Send less at once.", limit=limit_bytes
    )
