"""Every error that the product raises on purpose, in families by what the caller can do about it.

Each class has a stable ``code`` (lower case, dotted, listed in ``docs/spec/errors/``) and an exit status of the
command line (``STATUS``). ``hint`` says in one sentence what to do next. Foreign exceptions are translated into these
at the boundary where they appear; none leaks through a public function.
"""

from __future__ import annotations

from typing import Any, ClassVar


class BpciError(Exception):
    """Base of all errors of the product."""

    code: str = "internal"
    """Stable identifier, never reused for another meaning."""
    status: ClassVar[int] = 1
    """Exit status of the command line: 1 does not hold, 2 wrong call, 3 could not be told or reached."""
    http_status: ClassVar[int] = 500
    """HTTP status when it crosses the API."""

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None, **details: Any) -> None:
        """Describe what happened.

        Args:
            message: what happened, one sentence, no secret in it.
            code: a more exact code than the class's own, with the same first word.
            hint: what to do next, one sentence.
            details: values a program may want (fee that would do, limit, position), JSON types only.
        """
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.hint = hint
        self.details = details

    def as_problem(self) -> dict[str, Any]:
        """Return this error as an RFC 9457 problem object."""
        problem: dict[str, Any] = {
            "type": f"urn:bpci:error:{self.code}",
            "title": self.message,
            "status": self.http_status,
            "code": self.code,
        }
        if self.hint:
            problem["hint"] = self.hint
        if self.details:
            problem["details"] = self.details
        return problem


class UsageError(BpciError):
    """The call itself was wrong: option, argument, configuration, answers file."""

    code = "usage"
    status = 2
    http_status = 400


class FormatError(BpciError):
    """Bytes or text from outside are not in the form that the specification gives."""

    code = "format"
    http_status = 400


class RefusedError(BpciError):
    """Well-formed, and refused by a rule: signature, nonce, limit, duplicate."""

    code = "refused"
    http_status = 409


class LimitError(RefusedError):
    """Refused because a limit is reached; the same request may pass later."""

    code = "limit"
    http_status = 429


class AccessError(RefusedError):
    """Refused because the caller may not do this."""

    code = "access"
    http_status = 403


class NotFoundError(RefusedError):
    """What was asked for is not here."""

    code = "not_found"
    http_status = 404


class ProofError(BpciError):
    """A proof, signature or bundle does not hold."""

    code = "proof"
    http_status = 422


class UnreachableError(BpciError):
    """Something outside could not be reached or told; trying again may help."""

    code = "unreachable"
    status = 3
    http_status = 503


class StorageError(BpciError):
    """The disk or the database failed, or holds what this version can't read."""

    code = "storage"
    status = 1
    http_status = 507


class HostError(BpciError):
    """This machine would not do what set-up or a check asked of it."""

    code = "host"
    status = 1
