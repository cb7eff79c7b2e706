"""Every altered bit of a mempool proof is refused, and so is every other order of its parts."""

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import pytest

from bpci_node.errors import ProofError
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.proof import MempoolProof
from bpci_node.mempool.verify import Trust, verify_mempool_proof
from bpci_node.primitives import codec
from bpci_node.primitives.keys import LocalSigner

SHORT_FLIPS = 3_000
SHORT_CHANGES = 1_500


@pytest.fixture(scope="module")
def data(real_pool: Pool, prove_pool: Callable[..., MempoolProof]) -> bytes:
    """A proof of nine entries in three buckets, of one more bucket, and of two empty ones."""
    buckets = sorted(real_pool.buckets(), key=len)
    txids = [entry.leaf.txid for bucket in buckets[-3:] for entry in list(bucket)[1:7:2]]
    return prove_pool(real_pool, txids, [buckets[-9].key, b"\x00\x03\xff\xff", b"\x01" * 4]).encode()


@pytest.fixture(scope="module")
def trusts(data: bytes, node: LocalSigner) -> list[Trust]:
    """A signer, or nothing but a root: the mutated proof must be refused by both."""
    return [Trust(signer=node.public_key), Trust(mx_root=MempoolProof.decode(data).header.mx_root)]


def accepted(candidates: Iterable[tuple[Any, bytes]], trusts: list[Trust]) -> list[Any]:
    """Return the names of those that hold; whatever else is raised than a refusal is a fault."""
    wrong = []
    for number, (name, candidate) in enumerate(candidates):
        try:
            verify_mempool_proof(candidate, trusts[number % 2])
        except ProofError:
            continue
        wrong.append(name)
    return wrong


def flips(data: bytes, bits: Iterable[int]) -> Iterable[tuple[int, bytes]]:
    for bit in bits:
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(altered)


def changes(data: bytes, random: Random, count: int) -> Iterable[tuple[str, bytes]]:
    """Yield structural changes: lists shuffled, shortened, doubled; numbers moved; bytes swapped, cut and mixed."""
    made = 0
    while made < count:
        value = codec.decode(data)
        what = _change(value, random)
        altered = codec.encode(value)
        if altered != data:
            made += 1
            yield what, altered


def _places(value: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return every member of every map and list: its path, what holds it, and under which key."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, item in members:
        found.append((f"{path}/{key}", value, key))
        found += _places(item, f"{path}/{key}")
    return found


def _change(value: Any, random: Random) -> str:
    places = _places(value)
    path, holder, key = random.choice(places)
    item = holder[key]
    if isinstance(item, bool) or item is None:
        holder[key] = 1
    elif isinstance(item, int):
        holder[key] = max(0, item + random.choice([-1, 1, 2, 256, -256]))
    elif isinstance(item, str):
        holder[key] = item[::-1]
    elif isinstance(item, bytes):
        # What stands elsewhere with the same length, a shorter or longer one, or two halves in the other order.
        alike = [other[at] for _, other, at in places if isinstance(other[at], bytes) and len(other[at]) == len(item)]
        middle = len(item) // 2
        holder[key] = random.choice([random.choice(alike), item[:-1], item + b"\x00", item[middle:] + item[:middle]])
    elif isinstance(item, list):
        at = random.randrange(len(item) + 1)
        doubled = [*item[:at], *item[at - 1 : at], *item[at:]]
        holder[key] = random.choice([item[:-1], item[1:], item[::-1], doubled, random.sample(item, len(item)), []])
    else:
        del item[random.choice(sorted(item))]
    return path


def test_the_proof_itself_holds(data: bytes, trusts: list[Trust]) -> None:
    for trust in trusts:
        verify_mempool_proof(data, trust)


def test_altered_bits_are_refused(data: bytes, trusts: list[Trust]) -> None:
    bits = Random(1).sample(range(8 * len(data)), SHORT_FLIPS)  # noqa: S311 - the same every time
    assert accepted(flips(data, bits), trusts) == []


def test_other_structures_are_refused(data: bytes, trusts: list[Trust]) -> None:
    assert accepted(changes(data, Random(2), SHORT_CHANGES), trusts) == []  # noqa: S311 - the same every time


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_every_altered_bit_is_refused_by_both_kinds_of_trust(data: bytes, trusts: list[Trust]) -> None:
    for order in (trusts, trusts[::-1]):
        assert accepted(flips(data, range(8 * len(data))), order) == []


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_fifty_thousand_other_structures_are_refused(data: bytes, trusts: list[Trust]) -> None:
    assert accepted(changes(data, Random(3), 50_000), trusts) == []  # noqa: S311 - the same every time
