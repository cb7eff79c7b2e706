"""Bodies of commands as declarations: each field has a form and a sentence, and that is all there is to say of it.

A body is a dataclass whose fields are ``Annotated[type, Spec(form, doc)]``. From the same declaration come the reader
that checks a body before any state is looked at, the map that is signed, and the reference in ``docs/spec/ledger.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, cast, get_type_hints

from bpci_node.primitives.amounts import MAX_AMOUNT
from bpci_node.primitives.fields import MAX_INT, Fields

B = TypeVar("B")

ACCOUNT_FORM = re.compile(r"bpa1[a-z2-7]{32}")
"""An account id: ``bpa1`` and 20 bytes in lower-case base32 (RFC 4648, no padding)."""
ASSET_FORM = re.compile(r"[A-Z]{3,8}")
"""An asset's id: 3 to 8 capital letters."""
PURPOSE_FORM = re.compile(r"[a-z0-9.-]{1,40}")


@dataclass(frozen=True, slots=True)
class Form:
    """What a field may hold."""

    described: str
    """For the reference: type and range."""
    read: Callable[[Fields, str], Any]
    """Returns the field of that name, or raises ``FormatError``."""
    write: Callable[[Any], Any] = lambda value: value
    """Returns what stands in the map."""


@dataclass(frozen=True, slots=True)
class Spec:
    """The declaration of one field."""

    form: Form
    """What it may hold."""
    doc: str
    """What it means, one sentence."""


def integer(low: int = 0, high: int = MAX_INT, *, described: str | None = None) -> Form:
    """An integer, low <= value <= high."""
    shown = "2⁶³ - 1" if high == MAX_INT else f"{high:,}"
    return Form(described or f"int, {low:,} to {shown}", lambda fields, name: fields.integer(name, low, high))


def text(form: re.Pattern[str], described: str) -> Form:
    """A text that matches ``form`` as a whole."""
    return Form(described, lambda fields, name: fields.text(name, form, described))


def choice(*names: str) -> Form:
    """One of these texts."""
    described = " \\| ".join(f'"{name}"' for name in names)
    form = re.compile("|".join(re.escape(name) for name in names))
    return Form(described, lambda fields, name: fields.text(name, form, "one of " + ", ".join(names)))


def blob(size: int) -> Form:
    """Exactly ``size`` bytes."""
    return Form(f"{size:,} bytes", lambda fields, name: fields.blob(name, size))


def blob_up_to(most: int) -> Form:
    """1 to ``most`` bytes."""
    return Form(f"1 to {most:,} bytes", lambda fields, name: fields.blob_up_to(name, most))


def texts(form: re.Pattern[str], described: str, most: int) -> Form:
    """A list of different texts."""
    return Form(
        f"list of at most {most} different {described}",
        lambda fields, name: fields.texts(name, form, described, most),
        list,
    )


def flags(names: Sequence[str]) -> Form:
    """A map from each of these names to true or false."""

    def read(fields: Fields, name: str) -> dict[str, bool]:
        inner = Fields(fields.raw(name), names, what=f"the map {name!r}", code="format.body")
        return {flag: inner.flag(flag) for flag in names}

    return Form("{" + ", ".join(f"{name}: bool" for name in names) + "}", read, dict)


def optional(form: Form) -> Form:
    """The same, or null."""
    return Form(
        f"{form.described} \\| null",
        lambda fields, name: None if fields.is_null(name) else form.read(fields, name),
        lambda value: None if value is None else form.write(value),
    )


ACCOUNT = text(ACCOUNT_FORM, "account id")
ASSET = text(ASSET_FORM, "asset id")
AMOUNT = integer(1, MAX_AMOUNT)
TIME_MS = integer()
DIGEST = blob(32)
PUBLIC_KEY = blob(32)
SIGNATURE = blob(64)
ID16 = blob(16)
PURPOSE = text(PURPOSE_FORM, "1 to 40 characters `a-z 0-9 . -`")


@dataclass(frozen=True, slots=True)
class Empty:
    """Body of a command that says all it has to say by its kind."""


def _specs_of(body: type[Any]) -> dict[str, Spec]:
    hints = get_type_hints(body, include_extras=True)
    return {name: cast("Spec", hint.__metadata__[0]) for name, hint in hints.items()}


specs_of = cast("Callable[[type[Any]], dict[str, Spec]]", cache(_specs_of))
"""Returns the declarations of the fields of a body's class, in their order."""


def read_body(body: type[B], value: Any, *, kind: str) -> B:
    """Return the body of ``kind`` that ``value`` holds.

    Raises:
        FormatError: not a map, a missing or unknown field, or one outside its form (``format.body``, and what a form
            says itself).
    """
    specs = specs_of(body)
    fields = Fields(value, tuple(specs), what=f"the body of {kind}", code="format.body")
    return body(*[spec.form.read(fields, name) for name, spec in specs.items()])


def body_map(body: Any) -> dict[str, Any]:
    """Return the map of a body, as it stands in a command."""
    return {name: spec.form.write(getattr(body, name)) for name, spec in specs_of(type(body)).items()}
