"""A second implementation of docs/spec/mx-verkle.md, section 5, from the text: recursion on the content."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from itertools import groupby

import pytest
from py_arkworks_bls12381 import G1Point, Scalar

from bpci_node.primitives.kzg import basis

P = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001


def scalar(data: bytes) -> int:
    return 1 + int(sha256(data).hexdigest(), 16) % (P - 1)


def node_of(prefix: bytes, content: Mapping[bytes, bytes], nodes: dict[bytes, bytes]) -> bytes:
    total, depth = G1Point.identity(), len(prefix)
    for slot, group in groupby(sorted(content), key=lambda key: key[depth]):
        keys = list(group)
        if len(keys) == 1:
            value = scalar(b"VKL|v1|" + keys[0] + content[keys[0]])
        else:
            length = next(n for n in range(4) if len({key[: n + 1] for key in keys}) > 1)
            child = keys[0][:length]
            commitment = node_of(child, {key: content[key] for key in keys}, nodes)
            value = scalar(b"VKN|v1|" + bytes([length]) + child + commitment)
        total += basis()[0][slot] * Scalar(value)
    nodes[prefix] = total.to_compressed_bytes()
    return nodes[prefix]


@pytest.fixture(scope="session")
def shape_of() -> Callable[[Mapping[bytes, bytes]], dict[bytes, bytes]]:
    """Prefix and commitment of every inner node of the tree with this content, the root under the empty prefix."""

    def shape(content: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        nodes: dict[bytes, bytes] = {}
        node_of(b"", content, nodes)
        return nodes

    return shape
