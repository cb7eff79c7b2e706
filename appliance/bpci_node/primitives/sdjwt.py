"""SD-JWTs: credentials of which the holder shows what it likes, and proves that it is the holder.

A strict profile of RFC 9901: Ed25519 signatures, SHA-256 digests, disclosures of top-level claims only, salts of at
least 128 bits. What the RFC also permits (nested and array disclosures, decoys in arrays) is refused, not ignored.
Salts, nonces and times come from the caller.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bpci_node.errors import BpciError, FormatError, ProofError
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.json_text import read_json
from bpci_node.primitives.keys import Signer, verify_signature

TYPE, BINDING_TYPE = "dc+sd-jwt", "kb+jwt"
"""Values of ``typ``: of the credential (SD-JWT VC), and of the holder's key binding."""
MIN_SALT_BYTES = 16
"""Shortest salt of a disclosure: 128 bits. Source: RFC 9901, section 9.3."""
MAX_CHARACTERS = 65_536
"""Longest SD-JWT that is read."""
MAX_DISCLOSURES = 64

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_RESERVED = frozenset({"_sd", "_sd_alg", "..."})
_OPEN = frozenset({"iss", "nbf", "exp", "cnf", "vct", "status", "sub", "iat"})
"""Claims that are never selectively disclosed here: those of SD-JWT VC (draft 15), section 2.2.2.2, and two more."""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One claim that the holder may show or keep."""

    name: str
    """Name of the claim."""
    value: Any
    """JSON value of the claim."""
    encoded: str
    """Base64url of the JSON array of salt, name and value, exactly as the issuer wrote it."""

    @property
    def digest(self) -> str:
        """What the credential carries in its place: base64url of the SHA-256 of ``encoded``."""
        return encode_bytes(sha256(self.encoded.encode("ascii")))


@dataclass(frozen=True, slots=True)
class SdJwt:
    """A credential as it was read; nothing is checked but its form."""

    jwt: str
    """The issuer's signed JWT."""
    header: dict[str, Any]
    """Its header."""
    payload: dict[str, Any]
    """Its payload, with digests for what is not shown."""
    disclosures: tuple[Disclosure, ...]
    """What is shown."""
    binding: str | None
    """The holder's key binding JWT, if there is one."""

    @property
    def issued(self) -> str:
        """The part that the key binding's ``sd_hash`` covers: all up to the last tilde."""
        return "~".join([self.jwt, *(item.encoded for item in self.disclosures)]) + "~"

    def encode(self) -> str:
        """Return the compact serialisation."""
        return self.issued + (self.binding or "")


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a verifier asked for, so that a presentation made for somebody else, or earlier, does not count."""

    audience: str
    """Who verifies."""
    nonce: str
    """What it challenged the holder with."""
    time_s: int
    """Now, Unix seconds."""
    max_age_s: int = 300
    """How old the key binding may be, seconds."""


def disclose(salt: bytes, name: str, value: Any) -> Disclosure:
    """Return the disclosure of one claim.

    Raises:
        FormatError: a salt shorter than 128 bits, or a claim that must be open (``format.sdjwt``).
    Source: RFC 9901, section 4.2.1.
    """
    if len(salt) < MIN_SALT_BYTES:
        raise _malformed(f"a salt has at least {MIN_SALT_BYTES} bytes")
    if name in _RESERVED or name in _OPEN:
        raise _malformed(f"the claim {name!r} is never disclosed selectively")
    return Disclosure(name, value, encode_bytes(_json([encode_bytes(salt), name, value])))


def issue(signer: Signer, key_id: str, claims: Mapping[str, Any], disclosures: Sequence[Disclosure]) -> SdJwt:
    """Return a credential signed by its issuer, with everything shown.

    Args:
        key_id: the issuer's key, a DID URL.
        claims: the open claims; ``cnf`` must name the holder's key (:func:`confirmation`).
    Raises:
        FormatError: claims or disclosures outside the profile (``format.sdjwt``).
    """
    if _RESERVED & set(claims):
        raise _malformed("the claims use a reserved name")
    digests = sorted(item.digest for item in disclosures)
    payload = {**claims, "_sd": digests, "_sd_alg": "sha-256"}
    jwt = _sign(signer, {"alg": "EdDSA", "kid": key_id, "typ": TYPE}, payload)
    return parse("~".join([jwt, *(item.encoded for item in disclosures)]) + "~")


def present(credential: SdJwt, names: Sequence[str], signer: Signer, expectation: Expectation) -> SdJwt:
    """Return the credential with the named claims only, bound to the holder's key and to one verifier.

    Raises:
        FormatError: the credential has no such claim to show (``format.sdjwt``).
    """
    wanted = set(names)
    shown = tuple(item for item in credential.disclosures if item.name in wanted)
    missing = wanted - {item.name for item in shown}
    if missing:
        raise _malformed(f"the credential has no claim {min(missing)!r} to show")
    bare = SdJwt(credential.jwt, credential.header, credential.payload, shown, None)
    payload = {
        "aud": expectation.audience,
        "iat": expectation.time_s,
        "nonce": expectation.nonce,
        "sd_hash": encode_bytes(sha256(bare.issued.encode("ascii"))),
    }
    binding = _sign(signer, {"alg": "EdDSA", "typ": BINDING_TYPE}, payload)
    return SdJwt(bare.jwt, bare.header, bare.payload, shown, binding)


def parse(text: str) -> SdJwt:
    """Return the credential or presentation that ``text`` holds.

    Raises:
        FormatError: it is none of the profile (``format.sdjwt``).
    Source: RFC 9901, section 7.1.
    """
    if len(text) > MAX_CHARACTERS or not text.isascii():
        raise _malformed("too long, or not ASCII")
    if "~" not in text or text.count("~") > MAX_DISCLOSURES + 1:
        raise _malformed("it is not a JWT, disclosures and a key binding, joined by tildes")
    jwt, *middle, last = text.split("~")
    header, payload = _jwt(jwt)
    digests = payload.get("_sd", [])
    if not (type(digests) is list and all(type(item) is str for item in digests)):
        raise _malformed("'_sd' is a list of digests")
    if len(set(digests)) != len(digests):
        raise _malformed("a digest stands there twice")
    if payload.get("_sd_alg", "sha-256") != "sha-256":
        raise _malformed("digests are of SHA-256")
    if any(_hides(value) for name, value in payload.items() if name not in ("_sd", "_sd_alg")) or "..." in payload:
        raise _malformed("only claims at the top may be hidden")
    disclosures = tuple(_disclosure(item) for item in middle)
    names = [item.name for item in disclosures]
    if len(set(names)) != len(names) or set(names) & set(payload):
        raise _malformed("a claim is there twice")
    if not {item.digest for item in disclosures} <= set(digests):
        raise _malformed("a disclosure belongs to no digest of the credential")
    return SdJwt(jwt, header, payload, disclosures, last or None)


def verify_issuer(credential: SdJwt, public_key: bytes) -> None:
    """Check the issuer's signature and the header.

    Raises:
        ProofError: it is not the issuer's (``proof.credential``).
    """
    if credential.header.get("alg") != "EdDSA" or credential.header.get("typ") != TYPE:
        raise _refused("it is no credential of this profile")
    _verify(credential.jwt, public_key, "the issuer's signature does not hold")


def verify_times(credential: SdJwt, time_s: int) -> None:
    """Check that the credential is in force.

    Raises:
        ProofError: not yet, or no longer (``proof.credential_expired``); or the times are none (``proof.credential``).
    """
    begins, ends = credential.payload.get("nbf", 0), credential.payload.get("exp")
    if type(begins) is not int or type(ends) is not int:
        raise _refused("it does not say until when it holds")
    if not begins <= time_s < ends:
        raise ProofError("the credential is not in force", code="proof.credential_expired")


def verify_binding(presentation: SdJwt, expectation: Expectation) -> None:
    """Check that the holder of the credential's key made this presentation, for this verifier, just now.

    Raises:
        ProofError: somebody else did, or for somebody else, or too long ago (``proof.binding``).
    Source: RFC 9901, section 7.3.
    """
    try:
        key = holder_key(presentation)
        if presentation.binding is None:
            raise _refused("the holder did not sign the presentation", code="proof.binding")
        header, payload = _jwt(presentation.binding)
        _verify(presentation.binding, key, "the holder's signature does not hold")
    except BpciError as error:
        raise _refused(error.message, code="proof.binding") from error
    age_s = expectation.time_s - payload["iat"] if type(payload.get("iat")) is int else None
    holds = (
        header.get("alg") == "EdDSA"
        and header.get("typ") == BINDING_TYPE
        and payload.get("aud") == expectation.audience
        and payload.get("nonce") == expectation.nonce
        and payload.get("sd_hash") == encode_bytes(sha256(presentation.issued.encode("ascii")))
    )
    if not holds:
        raise _refused("the presentation was made for another verifier, or of another credential", code="proof.binding")
    # A little ahead is a clock, not an attack.
    if age_s is None or not -60 <= age_s <= expectation.max_age_s:
        raise _refused("the presentation is not fresh", code="proof.binding")


def shown_claims(credential: SdJwt) -> dict[str, Any]:
    """Return the open claims and those that are shown."""
    claims = {name: value for name, value in credential.payload.items() if name not in _RESERVED}
    return claims | {item.name: item.value for item in credential.disclosures}


def confirmation(public_key: bytes) -> dict[str, Any]:
    """Return the claim ``cnf`` that binds a credential to a holder's Ed25519 key. Source: RFC 7800, RFC 8037."""
    return {"jwk": {"crv": "Ed25519", "kty": "OKP", "x": encode_bytes(public_key)}}


def holder_key(credential: SdJwt) -> bytes:
    """Return the Ed25519 key, 32 bytes, that the credential is bound to.

    Raises:
        FormatError: it is bound to none (``format.sdjwt``).
    """
    found = credential.payload.get("cnf")
    jwk = found.get("jwk") if type(found) is dict else None
    x = jwk.get("x") if type(jwk) is dict and jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519" else None
    if type(x) is not str or len(key := decode_bytes(x)) != 32:
        raise _malformed("it is bound to no Ed25519 key")
    return key


def encode_bytes(data: bytes) -> str:
    """Return base64url without padding. Source: RFC 7515, section 2."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_bytes(text: str) -> bytes:
    """Return what :func:`encode_bytes` encoded.

    Raises:
        FormatError: not base64url, or not the one way to write it (``format.sdjwt``).
    """
    if _BASE64URL.fullmatch(text) is None:
        raise _malformed("it is not base64url")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise _malformed("it is not base64url") from error
    if encode_bytes(data) != text:
        raise _malformed("it is not base64url")
    return data


def _disclosure(encoded: str) -> Disclosure:
    parts = _read_json(decode_bytes(encoded))
    if type(parts) is not list or len(parts) != 3 or type(parts[0]) is not str or type(parts[1]) is not str:
        raise _malformed("a disclosure is a list of salt, name and value")
    if len(parts[0]) * 6 < MIN_SALT_BYTES * 8:
        raise _malformed("a disclosure's salt is too short")
    if parts[1] in _RESERVED or parts[1] in _OPEN or _hides(parts[2]):
        raise _malformed("a disclosure hides what must be open")
    return Disclosure(parts[1], parts[2], encoded)


def _hides(value: Any) -> bool:
    if type(value) is dict:
        return not _RESERVED.isdisjoint(value) or any(_hides(item) for item in value.values())
    return type(value) is list and any(_hides(item) for item in value)


def _jwt(jwt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = jwt.split(".")
    if len(parts) != 3:
        raise _malformed("a JWT has three parts")
    header, payload = _read_json(decode_bytes(parts[0])), _read_json(decode_bytes(parts[1]))
    decode_bytes(parts[2])
    if type(header) is not dict or type(payload) is not dict:
        raise _malformed("a JWT's parts are objects")
    return header, payload


def _sign(signer: Signer, header: dict[str, Any], payload: dict[str, Any]) -> str:
    signed = encode_bytes(_json(header)) + "." + encode_bytes(_json(payload))
    return signed + "." + encode_bytes(signer.sign(signed.encode("ascii")))


def _verify(jwt: str, public_key: bytes, message: str) -> None:
    signed, _, signature = jwt.rpartition(".")
    try:
        verify_signature(public_key, signed.encode("ascii"), decode_bytes(signature))
    except BpciError as error:
        raise _refused(message) from error


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False, allow_nan=False).encode("utf-8")


def _read_json(data: bytes) -> Any:
    try:
        return read_json(data, max_bytes=MAX_CHARACTERS)
    except FormatError as error:
        raise _malformed(error.message) from error


def _malformed(reason: str) -> FormatError:
    return FormatError(f"not an SD-JWT: {reason}", code="format.sdjwt")


def _refused(reason: str, *, code: str = "proof.credential") -> ProofError:
    return ProofError(f"the credential does not hold: {reason}", code=code)
