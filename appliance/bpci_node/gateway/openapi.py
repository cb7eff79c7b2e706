"""The OpenAPI document: what FastAPI finds in the routes, with request bodies and problems added."""

from __future__ import annotations

import json
import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bpci_node import __version__
from bpci_node.gateway import models
from bpci_node.network.wire import CBOR, JSON, PROBLEM

_REF = "#/components/schemas/{model}"
_REFERENCE = re.compile(r'"#/components/schemas/(\w+)"')
_PROBLEMS = {
    "400": "A parameter or the body is not as it should be",
    "403": "Not signed, or by somebody who may not",
    "404": "What is named is not here",
    "429": "Too much of it; Retry-After says when it may pass, where that is known",
    "431": "The head of the request is too long",
    "500": "A fault of the node's",
    "503": "The node is stopping, has too many connections, or can't reach what it needs",
    "507": "The disk failed or is full",
}
"""Statuses of problems that any operation may answer with."""
_BODY_PROBLEMS = {
    "408": "The body did not arrive in time",
    "409": "Well-formed, and refused by a rule",
    "413": "The body is too long",
    "415": "Neither application/cbor nor application/json",
    "422": "A proof or signature does not hold",
}
"""Those of operations that take a body, beside them."""
_DESCRIPTION = (
    "The public API of a BPCI node. Bodies are application/cbor (canonical, byte strings as they are) or"
    " application/json (byte strings as 0x-hexadecimal); replies are CBOR if Accept names it. Amounts are decimal"
    " strings. Errors are RFC 9457 problems with a stable code."
)


def takes(model: type[BaseModel], example: dict[str, Any], *, only_cbor: bool = False) -> dict[str, Any]:
    """Return the ``openapi_extra`` of a route that reads its body itself.

    Args:
        model: what the body holds.
        example: a body in its JSON view.
        only_cbor: whether JSON is not meant for it.
    """
    schema = {"$ref": _REF.format(model=model.__name__)}
    content: dict[str, Any] = {CBOR: {"schema": schema}}
    if not only_cbor:
        content = {JSON: {"schema": schema, "example": example}, **content}
    else:
        content[CBOR]["example"] = example
    return {"requestBody": {"required": True, "content": content}}


def takes_bytes(description: str) -> dict[str, Any]:
    """Return the ``openapi_extra`` of a route whose body is bytes."""
    schema = {"type": "string", "format": "binary", "description": description}
    return {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": schema}}}}


def takes_cbor(description: str) -> dict[str, Any]:
    """Return the ``openapi_extra`` of a route whose body is canonical CBOR alone."""
    schema = {"type": "string", "format": "binary", "description": description}
    return {"requestBody": {"required": True, "content": {CBOR: {"schema": schema}}}}


def install(app: FastAPI) -> None:
    """Let ``app`` give out the completed document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way of extending it


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="BPCI node", version=__version__, description=_DESCRIPTION, routes=app.routes, license_info=None
    )
    wanted = [(item, "validation") for item in [*models.Strict.__subclasses__(), models.Problem]]
    _, definitions = models_json_schema(wanted, ref_template=_REF)  # type: ignore[arg-type]  # a list of literals
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(definitions["$defs"])
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            _name_problems(operation)
    document["components"]["responses"] = _problem_responses()
    document["components"]["schemas"] = _used([document["paths"], document["components"]["responses"]], schemas)
    return document


def _name_problems(operation: dict[str, Any]) -> None:
    """Say with which statuses an operation may refuse."""
    responses = operation["responses"]
    responses.pop("422", None)
    for status in [*_PROBLEMS, *(_BODY_PROBLEMS if "requestBody" in operation else ())]:
        responses.setdefault(status, {"$ref": f"#/components/responses/{status}"})
    responses["default"] = {"$ref": "#/components/responses/default"}


def _problem_responses() -> dict[str, Any]:
    content = {PROBLEM: {"schema": {"$ref": _REF.format(model="Problem")}}}
    descriptions = _PROBLEMS | _BODY_PROBLEMS | {"default": "A problem"}
    return {status: {"description": text, "content": content} for status, text in descriptions.items()}


def _used(parts: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas that these parts refer to, also through one another, in the order of their names."""
    used: set[str] = set()
    texts = [json.dumps(parts)]
    while texts:
        new = set(_REFERENCE.findall(texts.pop())) - used
        used |= new
        texts += [json.dumps(schemas[name]) for name in new]
    return {name: schemas[name] for name in sorted(used)}
