"""Wallet addresses: ``BPI(url)<wallet>(httpcg//address)``, their stamped form, and tokens that carry a password.

The wallet part names network and account, and ends with a check over every part of the address: a letter that was
changed anywhere is noticed, in the URL too. There is one way to write an address: ASCII, lower case but for ``BPI``,
no spaces. Whether a URL belongs to whoever names it is not told here. Grammar: ``docs/spec/wallet-address.md``.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field

from bpci_node.errors import FormatError
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import derive

WALLET_ADDRESS_CONTEXT = "bpci 2026 wallet address v1"

PREFIXES = {"mainnet": "bpm1", "testnet": "bpt1", "devnet": "bpd1"}
"""What the wallet part begins with, by network."""
STAMP_TYPES = ("bank", "community", "government")

MAX_CHARACTERS = 640
"""Longest text that is looked at."""
MAX_PLACE_CHARACTERS = 128
"""Longest URL, address or domain."""
MIN_SEALED_BYTES, MAX_SEALED_BYTES = 16, 160
MAX_PASSWORD_CHARACTERS = 1024

ACCOUNT_BYTES, CHECK_BYTES = 20, 5

_LABEL = r"(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
HOST_FORM = re.compile(_HOST)
"""Labels of lower-case letters, digits and inner hyphens, with dots between; none that stands for another script."""
PLACE_FORM = re.compile(rf"{_HOST}(?:/[a-z0-9](?:[a-z0-9-]{{0,30}}[a-z0-9])?){{0,4}}")
"""A host, and up to four segments of a path."""
JURISDICTION_FORM = re.compile(r"[a-z]{2}(?:-[a-z0-9]{1,3})?")
"""ISO 3166-1 alpha-2, or ISO 3166-2, in lower case."""

_ACCOUNT_FORM = re.compile(r"bpa1[a-z2-7]{32}")
_WALLET_FORM = re.compile(r"(bp[mtd]1)([a-z2-7]{40})")
_FRAME = re.compile(r"BPI\(([^()<>\[\]]+)\)<([^()<>\[\]]+)>\(httpcg//([^()<>]+)\)")
_STAMPED_PLACE = re.compile(r"\[([^\[\]]+)\]//\[([a-z2-7]+)\]")
_FORMAT = "format.wallet_address"


@dataclass(frozen=True, slots=True)
class WalletAddress:
    """An address that a person or a node receives at."""

    network: str
    """``mainnet``, ``testnet`` or ``devnet``."""
    account: str
    """The account that it stands for, ``bpa1...``."""
    url: str
    """The name that its owner goes by: a host, or a host with a path; at most 128 characters."""
    place: str
    """Where it is reached by httpcg, in the same form."""

    def __post_init__(self) -> None:
        """Check every part.

        Raises:
            FormatError: one is outside its form (``format.wallet_address``).
        """
        _check_account(self.network, self.account)
        _check(PLACE_FORM, self.url, "the URL")
        _check(PLACE_FORM, self.place, "the httpcg address")

    def __str__(self) -> str:
        """Return the one way to write it."""
        return f"BPI({self.url})<{self.wallet}>(httpcg//{self.place})"

    @property
    def wallet(self) -> str:
        """The wallet part: network, account and check, 44 characters."""
        return _wallet(self.network, self.account, ["plain", self.url, self.place])


@dataclass(frozen=True, slots=True)
class StampedAddress:
    """An address that names a stamp instead of its owner, and keeps where it is reached to those who can open it."""

    network: str
    """``mainnet``, ``testnet`` or ``devnet``."""
    account: str
    """The account that it stands for, ``bpa1...``."""
    stamp_type: str
    """One of :data:`STAMP_TYPES`."""
    jurisdiction: str
    """Lower-case ISO 3166 code, such as ``in`` or ``us-ny``."""
    domain: str
    """Host through which it is reached at present."""
    sealed: bytes
    """Where it is reached, encrypted for its reader; 16 to 160 bytes that are not looked into here."""

    def __post_init__(self) -> None:
        """Check every part.

        Raises:
            FormatError: one is outside its form (``format.wallet_address``).
        """
        _check_account(self.network, self.account)
        if self.stamp_type not in STAMP_TYPES:
            raise _wrong(f"the stamp is one of {', '.join(STAMP_TYPES)}")
        _check(JURISDICTION_FORM, self.jurisdiction, "the jurisdiction")
        _check(HOST_FORM, self.domain, "the domain")
        if not MIN_SEALED_BYTES <= len(self.sealed) <= MAX_SEALED_BYTES:
            raise _wrong(f"the encrypted address has {MIN_SEALED_BYTES} to {MAX_SEALED_BYTES} bytes")

    def __str__(self) -> str:
        """Return the one way to write it."""
        stamp, sealed = f"{self.stamp_type}:{self.jurisdiction}", _base32(self.sealed)
        return f"BPI({stamp})<{self.wallet}>(httpcg//[{self.domain}]//[{sealed}])"

    @property
    def wallet(self) -> str:
        """The wallet part: network, account and check, 44 characters."""
        parts: list[str | bytes] = ["stamped", self.stamp_type, self.jurisdiction, self.domain, self.sealed]
        return _wallet(self.network, self.account, parts)


Address = WalletAddress | StampedAddress


@dataclass(frozen=True, slots=True)
class Token:
    """An address with the password of its wallet, as older software wrote it. ``repr`` does not show the password."""

    address: Address
    """Whose wallet it is."""
    password: str = field(repr=False)
    """What opens it. Nothing of the product stores or prints it."""


def parse_address(text: str) -> Address:
    """Return the address that ``text`` is.

    Raises:
        FormatError: it is not written as an address is (``format.wallet_address``, with the position of the first
            character that has no place in one), or its check does not fit (``format.wallet_check``).
    """
    _check_characters(text)
    found = _FRAME.fullmatch(text)
    if found is None:
        raise _wrong("it is not of the form BPI(url)<wallet>(httpcg//address)")
    name, wallet, place = found.groups()
    network, account = _open_wallet(wallet)
    address: Address
    if ":" in name:
        stamp_type, _, jurisdiction = name.partition(":")
        inner = _STAMPED_PLACE.fullmatch(place)
        if inner is None:
            raise _wrong("a stamped address ends with (httpcg//[domain]//[encrypted address])")
        address = StampedAddress(network, account, stamp_type, jurisdiction, inner[1], _bytes_of(inner[2]))
    else:
        address = WalletAddress(network, account, name, place)
    if not hmac.compare_digest(address.wallet, wallet):
        raise FormatError(
            "the address was changed or misread: its check does not fit",
            code="format.wallet_check",
            hint="Take it from where it comes from once more, as a whole.",
        )
    return address


def parse_token(text: str) -> Token:
    """Return the address and the password that a token holds. No message repeats anything of the password.

    Raises:
        FormatError: the address is none (as :func:`parse_address`), or no password follows it
            (``format.wallet_address``).
    """
    head, mark, password = text.partition(")//")
    if not mark:
        raise _wrong("a token is an address, two slashes and a password")
    address = parse_address(head + ")")
    if not 1 <= len(password) <= MAX_PASSWORD_CHARACTERS or not password.isprintable():
        raise _wrong(f"a token's password has 1 to {MAX_PASSWORD_CHARACTERS} printable characters")
    return Token(address, password)


def is_address(text: str) -> bool:
    """Say whether ``text`` begins as an address does; whether it is one, :func:`parse_address` says."""
    return text.startswith("BPI(")


def _check_characters(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise _wrong(f"it is longer than {MAX_CHARACTERS} characters")
    for position, character in enumerate(text, start=1):
        if position <= 3 and character == "BPI"[position - 1]:
            continue
        if character.isspace():
            raise _wrong(f"character {position} is a space", position=position)
        if not character.isascii():
            raise _wrong(f"character {position} only looks like one of an address", position=position)
        if character not in "abcdefghijklmnopqrstuvwxyz0123456789.-:/()<>[]":
            raise _wrong(
                f"character {position} has no place in an address; its letters are lower case", position=position
            )


def _check_account(network: str, account: str) -> None:
    if network not in PREFIXES:
        raise _wrong(f"the network is one of {', '.join(PREFIXES)}")
    if _ACCOUNT_FORM.fullmatch(account) is None:
        raise _wrong("the account is no account id")


def _check(form: re.Pattern[str], text: str, what: str) -> None:
    if len(text) > MAX_PLACE_CHARACTERS or form.fullmatch(text) is None:
        raise _wrong(f"{what} is not written as the specification says")


def _wallet(network: str, account: str, parts: list[str | bytes]) -> str:
    raw = _bytes_of(account.removeprefix("bpa1"))
    check = derive(WALLET_ADDRESS_CONTEXT, encode([network, raw, *parts]))[:CHECK_BYTES]
    return PREFIXES[network] + _base32(raw + check)


def _open_wallet(wallet: str) -> tuple[str, str]:
    found = _WALLET_FORM.fullmatch(wallet)
    if found is None:
        raise _wrong("the wallet part is bpm1, bpt1 or bpd1 and 40 characters a-z 2-7")
    network = next(name for name, prefix in PREFIXES.items() if prefix == found[1])
    return network, "bpa1" + _base32(_bytes_of(found[2])[:ACCOUNT_BYTES])


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").lower()


def _bytes_of(text: str) -> bytes:
    """Return what canonical lower-case base32 without padding stands for."""
    try:
        data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError as error:
        raise _wrong("the encrypted address is not base32") from error
    if _base32(data) != text:
        raise _wrong("the encrypted address is not written in the one way that base32 has")
    return data


def _wrong(problem: str, **details: int) -> FormatError:
    return FormatError(
        f"this is no wallet address: {problem}",
        code=_FORMAT,
        hint="Copy it as a whole; nothing in it is typed in another way.",
        **details,
    )
