"""The pinned vectors of docs/spec/mx-verkle.md: with the product's code, and with nothing but the text and py_ecc."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from py_ecc.bls.point_compression import decompress_G1, decompress_G2
from py_ecc.optimized_bls12_381 import G1, G2, Z1, add, multiply, neg, pairing

from bpci_node.errors import BpciError
from bpci_node.mempool.verkle.proof import VerkleProof
from bpci_node.mempool.verkle.verify import verify_opening
from scripts.make_verkle_vectors import vectors

FILE = Path(__file__).parents[4] / "docs/spec/vectors/verkle.json"
VECTORS = json.loads(FILE.read_text())
P = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001


def octets(text):
    return None if text is None else bytes.fromhex(text.removeprefix("0x"))


def said_in(case):
    return {octets(key): octets(digest) for key, digest in case["digests"].items()}


def names(cases):
    return [case["name"] for case in cases]


def test_published_vectors_are_what_this_code_computes():
    assert vectors() == VECTORS


@pytest.mark.parametrize("case", VECTORS["trees"], ids=names(VECTORS["trees"]))
def test_trees_follow_from_the_text(shape_of, case):
    shape = shape_of({octets(key): octets(digest) for key, digest in case["content"].items()})
    assert shape.pop(b"") == octets(case["root"])
    assert shape == {octets(prefix): octets(commitment) for prefix, commitment in case["nodes"].items()}


@pytest.mark.parametrize("case", VECTORS["proofs"], ids=names(VECTORS["proofs"]))
def test_published_proofs_hold(case):
    proof = VerkleProof.decode(octets(case["proof"]))
    assert proof.encode() == octets(case["proof"])
    verify_opening(octets(case["root"]), said_in(case), proof)


@pytest.mark.parametrize("case", VECTORS["refused"], ids=names(VECTORS["refused"]))
def test_published_forgeries_are_refused_with_their_codes(case):
    with pytest.raises(BpciError) as raised:
        verify_opening(octets(case["root"]), said_in(case), VerkleProof.decode(octets(case["proof"])))
    assert raised.value.code == case["code"]


def scalar(data):
    return 1 + int.from_bytes(sha256(data).digest(), "big") % (P - 1)


def claims_from_the_text(root, said, data):
    """Sections 4 and 6: paths and walk, as a reader of the text would write them for honest proofs."""
    counts = [int.from_bytes(data[i : i + 2], "big") for i in (1, 3, 5, 7)]
    nodes, leaves, at = [], [], 9
    for length, count in enumerate(counts[:3], start=1):
        for _ in range(count):
            nodes.append((data[at : at + length], data[at + length : at + length + 48]))
            at += length + 48
    for _ in range(counts[3]):
        leaves.append((data[at : at + 4], data[at + 4 : at + 36]))
        at += 36
    assert len(data) == at + 96
    text = b"VKS|v1|" + root + len(said).to_bytes(2, "big")
    for key in sorted(said):
        text += key + (b"\x00" if said[key] is None else b"\x01" + said[key])
    claims = []

    def walk(prefix, commitment):
        slots = sorted({key[len(prefix)] for key in said if key.startswith(prefix)})
        for slot in slots:
            edge = prefix + bytes([slot])
            child = min(
                (node for node in nodes if node[0].startswith(edge)), key=lambda node: len(node[0]), default=None
            )
            if child:
                length = bytes([len(child[0])])
                claims.append((commitment, slot, scalar(b"VKN|v1|" + length + child[0] + child[1])))
                if any(key.startswith(child[0]) for key in said):
                    walk(*child)
                continue
            met = [leaf for leaf in leaves if leaf[0].startswith(edge)]
            met += [(key, digest) for key, digest in said.items() if key.startswith(edge) and digest is not None]
            claims.append((commitment, slot, scalar(b"VKL|v1|" + b"".join(met[0])) if met else 0))

    walk(b"", root)
    return sha256(text + data[:at]).digest(), claims


@pytest.mark.parametrize("case", VECTORS["proofs"], ids=names(VECTORS["proofs"]))
def test_statement_claims_and_challenges_follow_from_the_text(case):
    data = octets(case["proof"])
    statement, claims = claims_from_the_text(octets(case["root"]), said_in(case), data)
    assert statement == octets(case["statement"])
    assert [[f"0x{c.hex()}", slot, f"0x{value:064x}"] for c, slot, value in claims] == case["claims"]
    said = b"".join(c + bytes([slot]) + value.to_bytes(32, "big") for c, slot, value in claims)
    first = sha256(b"VKR|v1|" + statement + len(claims).to_bytes(4, "big") + said).digest()
    second = sha256(b"VKT|v1|" + first + data[-96:-48]).digest()
    assert [f"0x{1 + int.from_bytes(h, 'big') % (P - 1):064x}" for h in (first, second)] == [case["r"], case["t"]]


@pytest.mark.parametrize("name", ["diverging from a prefix of 3 bytes", "another leaf below an inner node"])
def test_the_last_equation_follows_from_the_text_with_another_curve_library(name):
    def point(data):
        return Z1 if data[0] == 0xC0 else decompress_G1(int.from_bytes(data, "big"))

    case = next(case for case in VECTORS["proofs"] if case["name"] == name)
    omega = pow(7, (P - 1) // 256, P)
    r, t, data = int(case["r"], 16), int(case["t"], 16), octets(case["proof"])
    d, w = point(data[-96:-48]), point(data[-48:])
    left, v = add(neg(d), multiply(w, t)), 0
    for i, (commitment, slot, value) in enumerate(case["claims"]):
        factor = pow(r, i, P) * pow(t - pow(omega, slot, P), -1, P) % P
        left = add(left, multiply(point(octets(commitment)), factor))
        v = (v + factor * int(value, 16)) % P
    left = add(left, neg(multiply(G1, v)))
    tau = octets(VECTORS["basis"]["tau_g2"])
    tau_g2 = decompress_G2((int.from_bytes(tau[:48], "big"), int.from_bytes(tau[48:], "big")))
    assert pairing(G2, left) == pairing(tau_g2, w)
