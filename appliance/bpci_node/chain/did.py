"""DID documents: derived for ``did:key``, read for ``did:web``, whose digests enter the ledger as commands.

Nothing is fetched here: whoever resolves a ``did:web`` name brings the bytes.
"""

from __future__ import annotations

import re
from typing import Any

from bpci_node.errors import BpciError, FormatError
from bpci_node.primitives.json_text import read_json
from bpci_node.primitives.keys import public_key_of

MAX_DOCUMENT_BYTES = 65_536

WEB_FORM = re.compile(
    r"did:web:(?=[a-z0-9.-]{4,253}(?::|$))(?:(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
    r"(?::[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}){0,4}"
)
"""A ``did:web`` name: host in lower-case ASCII, no punycode, no port, at most four path segments."""

_CONTEXTS = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"]


def key_document(did: str) -> dict[str, Any]:
    """Return the DID document of a ``did:key`` name of an Ed25519 key, as JSON.

    Raises:
        FormatError: not such a name (``format.did``).
    Source: W3C Decentralized Identifiers v1.0, section 5; The did:key Method v0.7, section 3.1.
    """
    public_key_of(did)
    multibase = did.removeprefix("did:key:")
    method = f"{did}#{multibase}"
    return {
        "@context": list(_CONTEXTS),
        "id": did,
        "verificationMethod": [
            {"id": method, "type": "Multikey", "controller": did, "publicKeyMultibase": multibase},
        ],
        "authentication": [method],
        "assertionMethod": [method],
    }


def web_url(did: str) -> str:
    """Return where the document of a ``did:web`` name is found.

    Raises:
        FormatError: not such a name (``format.did``).
    Source: did:web Method Specification, section 3.2.
    """
    if WEB_FORM.fullmatch(did) is None:
        raise FormatError("not a did:web name of the permitted form", code="format.did")
    host, *path = did.removeprefix("did:web:").split(":")
    return f"https://{host}/" + ("/".join([*path, "did.json"]) if path else ".well-known/did.json")


def read_document(data: bytes, did: str) -> tuple[bytes, ...]:
    """Return the Ed25519 keys with which the subject of a resolved document may assert, 32 bytes each.

    Raises:
        FormatError: not a DID document, of another subject, or without such a key (``format.did_document``).
    """
    try:
        document = read_json(data, max_bytes=MAX_DOCUMENT_BYTES, allow_fractions=True)
    except FormatError as error:
        raise _wrong(error.message) from error
    if type(document) is not dict or document.get("id") != did:
        raise _wrong("it is of another subject")
    methods, asserting = document.get("verificationMethod"), document.get("assertionMethod")
    if type(methods) is not list or type(asserting) is not list:
        raise _wrong("it names no keys")
    found = [_key(item) for item in methods if type(item) is dict and item.get("id") in asserting]
    keys = tuple(key for key in found if key is not None)
    if not keys:
        raise _wrong("it names no Ed25519 key with which to assert")
    return keys


def _key(method: dict[str, Any]) -> bytes | None:
    multibase = method.get("publicKeyMultibase")
    if method.get("type") != "Multikey" or type(multibase) is not str:
        return None
    try:
        return public_key_of(f"did:key:{multibase}")
    except BpciError:
        return None


def _wrong(reason: str) -> FormatError:
    return FormatError(f"not a DID document that can be used: {reason}", code="format.did_document")
