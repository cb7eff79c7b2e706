"""A person's wallet as a file: one secret under a passphrase, Argon2id and ChaCha20-Poly1305. Layout: wallet-file.md.

The header (account, key, cost) is readable without the passphrase, so that wallets can be listed, and authenticated
with it. What a header may cost to open is bounded before anything is computed: a hostile file takes neither memory nor
time. A digest tells damage from a wrong passphrase, as far as nobody changed the file on purpose.
"""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from bpci_node.chain.account import account_id_of
from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.errors import AccessError, BpciError, FormatError, StorageError, UsageError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.derivation import derive_keys, entropy_of, new_phrase
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import LocalSigner

WALLET_FILE_CONTEXT = "bpci 2026 wallet file v1"

PHRASE, KEY = "phrase", "key"
MAX_FILE_BYTES = 4096
SECRET_BYTES = 32
MIN_PASSPHRASE, MAX_PASSPHRASE = 10, 1024
"""Characters of a passphrase; the shortest holds for new ones."""

MIN_MEMORY_KIB, MAX_MEMORY_KIB = 8 * 1024, 256 * 1024
MAX_PASSES, MAX_LANES = 16, 16
MAX_WORK_KIB = 1024 * 1024
"""Most memory times passes that a file may ask for: a second or a few of one processor."""

_FORMAT = "keystore.format"


@dataclass(frozen=True, slots=True)
class Cost:
    """What opening a file costs, to whoever guesses passphrases too."""

    memory_kib: int = 64 * 1024
    """Memory, KiB."""
    passes: int = 3
    """Passes over it."""
    lanes: int = 4
    """Lanes of it. Default: the second recommendation of RFC 9106, section 4."""

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            FormatError: a cost that is not to be paid (``keystore.cost``).
        """
        in_range = MIN_MEMORY_KIB <= self.memory_kib <= MAX_MEMORY_KIB and 1 <= self.lanes <= MAX_LANES
        if not in_range or not 1 <= self.passes <= MAX_PASSES or self.memory_kib * self.passes > MAX_WORK_KIB:
            raise FormatError(
                "this wallet file asks for more work than a wallet needs, or for too little to protect it",
                code="keystore.cost",
                hint="Use the copy that 'bpci wallet' wrote.",
            )


DEFAULT_COST = Cost()


@dataclass(frozen=True, slots=True)
class WalletHeader:
    """What a wallet file says without its passphrase."""

    kind: str
    """``phrase`` or ``key``."""
    account: str
    """The account that its key makes."""
    public_key: bytes
    """Ed25519, 32 bytes."""


@dataclass(frozen=True, slots=True)
class OpenWallet:
    """A wallet's secret. ``repr`` does not show it."""

    kind: str
    """``phrase``: entropy of 24 words; ``key``: the Ed25519 seed itself."""
    secret: bytes = field(repr=False)
    """32 bytes."""

    @property
    def signer(self) -> LocalSigner:
        """The key that signs for it: of a phrase, the owner's (``keys.md``)."""
        return LocalSigner(derive_keys(self.phrase).owner if self.kind == PHRASE else self.secret)

    @property
    def phrase(self) -> str:
        """The 24 words.

        Raises:
            UsageError: it was made of a single key (``keystore.no_phrase``).
        """
        if self.kind != PHRASE:
            raise UsageError("this wallet is a single key and has no words", code="keystore.no_phrase")
        return new_phrase(self.secret)


def wallet_of_phrase(phrase: str) -> OpenWallet:
    """Return the wallet of 24 words.

    Raises:
        FormatError: they are no phrase (``format.phrase``).
    """
    return OpenWallet(PHRASE, entropy_of(phrase))


def check_passphrase(passphrase: str) -> str:
    """Return a passphrase as it is used, after checking that it may guard a wallet.

    Raises:
        UsageError: too short, too long, too uniform, or with control characters (``keystore.weak``).
    """
    text = _normal(passphrase)
    if len(text) < MIN_PASSPHRASE or len(set(text)) < MIN_PASSPHRASE // 2:
        raise UsageError(
            f"a passphrase has at least {MIN_PASSPHRASE} characters, and not the same few of them",
            code="keystore.weak",
            hint="Four or five words that have nothing to do with one another are good.",
        )
    return text


def seal_wallet(
    wallet: OpenWallet, passphrase: str, *, random: Callable[[int], bytes], cost: Cost = DEFAULT_COST
) -> bytes:
    """Return the file of a wallet.

    Args:
        random: returns so many random bytes, such as ``os.urandom``.
    Raises:
        UsageError: the passphrase guards nothing (``keystore.weak``).
    """
    secret_key = _key(check_passphrase(passphrase), salt := random(16), cost)
    public_key = wallet.signer.public_key
    header = encode(
        {
            "v": 1,
            "kind": wallet.kind,
            "account": account_id_of(public_key),
            "public_key": public_key,
            "kdf": "argon2id",
            "memory_kib": cost.memory_kib,
            "passes": cost.passes,
            "lanes": cost.lanes,
            "salt": salt,
            "cipher": "chacha20-poly1305",
            "nonce": (nonce := random(12)),
        }
    )
    sealed = ChaCha20Poly1305(secret_key).encrypt(nonce, wallet.secret, header)
    return encode({"v": 1, "header": header, "sealed": sealed, "digest": _digest(header, sealed)})


def read_header(data: bytes) -> WalletHeader:
    """Return what a file says of itself. Nothing of it is proved until it is opened.

    Raises:
        StorageError: it is damaged (``keystore.damaged``).
        FormatError: it is none (``keystore.format``), or asks for too much work (``keystore.cost``).
    """
    fields, _, _ = _split(data)
    return _header(fields)[0]


def open_wallet(data: bytes, passphrase: str) -> OpenWallet:
    """Return the wallet that a file holds.

    Raises:
        AccessError: the passphrase is wrong, or somebody changed the file (``keystore.passphrase``).
        StorageError: it is damaged (``keystore.damaged``).
        FormatError: it is none (``keystore.format``), or asks for too much work (``keystore.cost``).
    """
    fields, header, sealed = _split(data)
    said, cost = _header(fields)
    key = _key(_normal(passphrase), fields.blob("salt", 16), cost)
    try:
        secret = ChaCha20Poly1305(key).decrypt(fields.blob("nonce", 12), sealed, header)
    except InvalidTag as error:
        raise AccessError(
            "the passphrase does not open this wallet",
            code="keystore.passphrase",
            hint="Mind capitals and the keyboard's layout. If you are sure of it, restore the wallet from its words.",
        ) from error
    found = OpenWallet(said.kind, secret)
    if not hmac.compare_digest(found.signer.public_key, said.public_key):
        raise _damaged()
    return found


def _normal(passphrase: str) -> str:
    text = unicodedata.normalize("NFKC", passphrase)
    if not 1 <= len(text) <= MAX_PASSPHRASE or not text.isprintable():
        raise UsageError(
            f"a passphrase has 1 to {MAX_PASSPHRASE} characters, none of which is a control character",
            code="keystore.weak",
        )
    return text


def _key(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    found = Argon2id(
        salt=salt, length=32, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory_kib
    ).derive(passphrase.encode("utf-8"))
    return bytes(found)


def _split(data: bytes) -> tuple[Fields, bytes, bytes]:
    """Return the header's fields, the header and what is sealed, after comparing the digest."""
    try:
        outer = Fields(
            decode(data, max_bytes=MAX_FILE_BYTES),
            ("v", "header", "sealed", "digest"),
            what="a wallet file",
            code=_FORMAT,
        )
        outer.version()
        header, sealed = outer.blob_up_to("header", 2048), outer.blob("sealed", SECRET_BYTES + 16)
        intact = hmac.compare_digest(outer.blob("digest", 32), _digest(header, sealed))
        names = (
            "v",
            "kind",
            "account",
            "public_key",
            "kdf",
            "memory_kib",
            "passes",
            "lanes",
            "salt",
            "cipher",
            "nonce",
        )
        value: Any = decode(header) if intact else None
    except BpciError as error:
        if error.code == _FORMAT:
            raise
        raise _damaged() from error
    if not intact:
        raise _damaged()
    fields = Fields(value, names, what="the header of a wallet file", code=_FORMAT)
    fields.version()
    return fields, header, sealed


def _header(fields: Fields) -> tuple[WalletHeader, Cost]:
    if fields.raw("kind") not in (PHRASE, KEY) or fields.raw("kdf") != "argon2id":
        raise fields.wrong("is of a kind that this version does not read")
    if fields.raw("cipher") != "chacha20-poly1305":
        raise fields.wrong("is of a kind that this version does not read")
    cost = Cost(fields.integer("memory_kib"), fields.integer("passes"), fields.integer("lanes"))
    account = fields.text("account", ACCOUNT_FORM, "an account id")
    return WalletHeader(str(fields.raw("kind")), account, fields.blob("public_key", 32)), cost


def _digest(header: bytes, sealed: bytes) -> bytes:
    return derive(WALLET_FILE_CONTEXT, header + sealed)


def _damaged() -> StorageError:
    return StorageError(
        "the wallet file is damaged",
        code="keystore.damaged",
        hint="Take a copy of it, or restore the wallet from its words with 'bpci wallet import'.",
    )
