"""What a dishonest prover could try, one test each: docs/spec/mx-verkle.md, section 11.

The forger here holds the whole tree and makes proofs with the product's own prover, over paths of their choice and
polynomials of their making. So what stops them is the verifier, not clumsiness.
"""

import random
import subprocess
import sys
from collections.abc import Mapping

import pytest

from bpci_node.errors import BpciError, FormatError, ProofError
from bpci_node.mempool.verkle.paths import Paths
from bpci_node.mempool.verkle.proof import VerkleProof
from bpci_node.mempool.verkle.scalars import leaf_scalar, node_scalar
from bpci_node.mempool.verkle.tree import VerkleTree
from bpci_node.mempool.verkle.verify import verify_opening
from bpci_node.mempool.verkle.walk import claims_of, statement_of
from bpci_node.primitives.kzg import INFINITY, commit
from bpci_node.primitives.multiproof import Multiproof, prove

X, Y, Z = b"x" * 32, b"y" * 32, b"z" * 32
CONTENT = {
    bytes.fromhex("0a0b0c0d"): X,
    bytes.fromhex("0a0b0c0e"): Y,
    bytes.fromhex("0a0b1000"): Z,
    bytes.fromhex("22334400"): X,
    bytes.fromhex("22334455"): Y,
    bytes.fromhex("40000000"): Z,
    bytes.fromhex("80010000"): X,
    bytes.fromhex("80020000"): Y,
}


def key(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.fixture
def tree() -> VerkleTree:
    tree = VerkleTree()
    for name, digest in CONTENT.items():
        tree.set(name, digest)
    return tree


def forge(tree: VerkleTree, said: Mapping[bytes, bytes | None], paths: Paths) -> VerkleProof:
    """The best proof of false claims that a prover with all polynomials can make."""
    polynomials = dict(tree.open(list(CONTENT)).polynomials)
    claims = claims_of(tree.root(), said, paths)
    return VerkleProof(paths, prove(statement_of(tree.root(), said, paths), claims, polynomials))


def refuses(tree: VerkleTree, said: Mapping[bytes, bytes | None], proof: VerkleProof, code: str) -> None:
    with pytest.raises(BpciError) as raised:
        verify_opening(tree.root(), said, proof)
    assert raised.value.code == code


def honest(tree: VerkleTree, *texts: str) -> tuple[dict[bytes, bytes | None], Paths]:
    opening = tree.open([key(text) for text in texts])
    return dict(opening.digests), opening.paths


def refuses_paths(tree: VerkleTree, said: Mapping[bytes, bytes | None], paths: Paths) -> None:
    with pytest.raises(ProofError) as raised:
        claims_of(tree.root(), said, paths)
    assert raised.value.code == "proof.verkle_paths"
    refuses(tree, said, VerkleProof(paths, Multiproof(INFINITY, INFINITY)), "proof.verkle_paths")


def nodes_of(tree: VerkleTree) -> dict[bytes, bytes]:
    return dict(tree.open(list(CONTENT)).paths.nodes)


def test_a_present_key_can_not_be_shown_absent_by_an_empty_slot(tree):
    said = {key("40000000"): None}
    refuses(tree, said, forge(tree, said, Paths((), ())), "proof.verkle")


def test_a_present_key_can_not_be_shown_absent_by_its_own_leaf(tree):
    refuses_paths(tree, {key("40000000"): None}, Paths((), ((key("40000000"), Z),)))


def test_a_present_key_can_not_be_shown_absent_by_a_made_up_leaf(tree):
    said = {key("40000000"): None}
    refuses(tree, said, forge(tree, said, Paths((), ((key("40000001"), Z),))), "proof.verkle")


def test_a_leaf_from_another_place_shows_no_absence(tree):
    refuses_paths(tree, {key("41000000"): None}, Paths((), ((key("40000000"), Z),)))


def test_a_leaf_stands_nowhere_but_in_its_own_slot(tree):
    """A leaf at a place that no rule gives: below the root although a node is there."""
    said = {key("80030000"): None}
    refuses(tree, said, forge(tree, said, Paths((), ((key("80010000"), X),))), "proof.verkle")
    said = {key("80010000"): X}
    refuses(tree, said, forge(tree, said, Paths((), ())), "proof.verkle")


def test_an_absent_key_can_not_be_shown_present(tree):
    for text in ("40000001", "41000000"):
        said = {key(text): X}
        refuses(tree, said, forge(tree, said, Paths((), ())), "proof.verkle")
    said, paths = honest(tree, "80030000")
    said = dict.fromkeys(said, X)
    refuses(tree, said, forge(tree, said, paths), "proof.verkle")


def test_a_prefix_off_the_way_shows_no_absence(tree):
    nodes = nodes_of(tree)
    refuses_paths(tree, {key("23000000"): None}, Paths(((key("223344"), nodes[key("223344")]),), ()))


@pytest.mark.parametrize("prefix", ["22", "2233", "223355", "223444"])
def test_a_present_key_can_not_be_led_past_its_node_by_another_prefix(tree, prefix):
    nodes = nodes_of(tree)
    said = {key("22334400"): None}
    paths = Paths(((key(prefix), nodes[key("223344")]),), ())
    refuses(tree, said, forge(tree, said, paths), "proof.verkle")


def test_a_present_key_does_not_diverge(tree):
    nodes = nodes_of(tree)
    refuses_paths(tree, {key("22ff0000"): X}, Paths(((key("223344"), nodes[key("223344")]),), ()))


def test_a_node_can_not_be_used_in_another_place(tree):
    """The tree has the same two children below two prefixes of one length; their nodes are not exchangeable."""
    nodes = nodes_of(tree)
    said = {key("80010000"): None, key("22010000"): X}
    paths = Paths(((b"\x22", nodes[b"\x80"]), (b"\x80", nodes[b"\x80"])), ())
    refuses(tree, said, forge(tree, said, paths), "proof.verkle")


def test_a_node_can_not_be_used_at_another_depth(tree):
    nodes = nodes_of(tree)
    said = {key("0a0b0c0d"): X}
    shallow = Paths(((key("0a0b0c"), nodes[key("0a0b0c")]),), ())
    refuses(tree, said, forge(tree, said, shallow), "proof.verkle")
    deep = Paths(((key("0a"), nodes[key("0a0b")]), (key("0a0b"), nodes[key("0a0b")])), ())
    said = {key("0a0b1000"): None}
    refuses(tree, said, forge(tree, said, deep), "proof.verkle")


def test_a_slot_has_one_child_for_all_keys(tree):
    nodes = nodes_of(tree)
    two_nodes = Paths(((key("2233"), nodes[key("223344")]), (key("2244"), nodes[key("223344")])), ())
    refuses_paths(tree, {key("22334400"): X, key("22440000"): None}, two_nodes)
    leaf_beside_node = Paths(((key("223344"), nodes[key("223344")]),), ((key("22440000"), X),))
    refuses_paths(tree, {key("22334400"): X, key("22440001"): None}, leaf_beside_node)
    refuses_paths(tree, {key("40000001"): None}, Paths((), ((key("40000000"), Z), (key("40000002"), Z))))
    refuses_paths(tree, {key("40000000"): Z, key("40000001"): Z}, Paths((), ()))
    refuses_paths(tree, {key("40000000"): Z, key("40000001"): None}, Paths((), ((key("40000002"), Z),)))


def test_two_keys_in_one_slot_are_told_the_same(tree):
    said, paths = honest(tree, "40000000", "40000001", "40ff0000")
    assert said == {key("40000000"): Z, key("40000001"): None, key("40ff0000"): None}
    assert len(claims_of(tree.root(), said, paths)) == 1
    verify_opening(tree.root(), said, tree.open(list(said)).prove())


def test_what_no_key_needs_is_refused(tree):
    said, paths = honest(tree, "80010000")
    nodes = nodes_of(tree)
    refuses_paths(tree, said, Paths(tuple(sorted({*paths.nodes, (b"\x22", nodes[key("223344")])})), ()))
    refuses_paths(tree, said, Paths((*paths.nodes, (key("223344"), nodes[key("223344")])), ()))
    refuses_paths(tree, said, Paths((*paths.nodes, (key("8001"), nodes[key("0a0b")]), (key("800200"), Z + Z[:16])), ()))
    refuses_paths(tree, said, Paths(paths.nodes, ((key("40000000"), Z),)))
    refuses_paths(tree, said, Paths(paths.nodes, ((key("80020000"), Y),)))


def test_nothing_may_hang_below_a_node_that_no_key_goes_through(tree):
    said, paths = honest(tree, "0aff0000")
    assert [prefix for prefix, _ in paths.nodes] == [key("0a0b")]
    refuses_paths(tree, said, Paths((*paths.nodes, (key("0a0b0c"), nodes_of(tree)[key("0a0b0c")])), ()))
    refuses_paths(tree, said, Paths(paths.nodes, ((key("0a0b1000"), Z),)))


def test_no_keys_are_no_proof(tree):
    refuses(tree, {}, VerkleProof(Paths((), ()), Multiproof(INFINITY, INFINITY)), "format.verkle_keys")


def test_the_empty_tree_shows_absence_of_everything_and_presence_of_nothing():
    tree = VerkleTree()
    proof = tree.open([bytes(4), b"\xff" * 4]).prove()
    verify_opening(INFINITY, {bytes(4): None, b"\xff" * 4: None}, proof)
    refuses(tree, {bytes(4): X, b"\xff" * 4: None}, proof, "proof.verkle")
    some = commit({0: 1}).to_compressed_bytes()
    for points in (Multiproof(some, INFINITY), Multiproof(INFINITY, some), Multiproof(some, some)):
        refuses(tree, {bytes(4): None}, VerkleProof(Paths((), ()), points), "proof.verkle")


def test_the_empty_tree_has_one_proof_for_all_keys():
    """The root alone says that nothing is there: what is shown is true for every key."""
    tree = VerkleTree()
    assert tree.open([bytes(4)]).prove() == tree.open([b"abcd", b"zzzz"]).prove()


def test_an_empty_node_is_no_node(tree):
    with pytest.raises(FormatError) as raised:
        Paths(((b"\x22", INFINITY),), ())
    assert raised.value.code == "format.verkle"


def test_a_proof_holds_under_its_own_root_only(tree):
    opening = tree.open([key("40000000")])
    proof = opening.prove()
    tree.set(key("80010000"), Z)
    refuses(tree, opening.digests, proof, "proof.verkle")
    tree.set(key("80010000"), X)
    verify_opening(tree.root(), opening.digests, proof)


def test_proofs_of_single_keys_say_nothing_about_others(tree):
    one, two = (tree.open([key(text)]) for text in ("40000000", "41000000"))
    verify_opening(tree.root(), one.digests, one.prove())
    refuses(tree, two.digests, one.prove(), "proof.verkle")


def test_a_root_made_in_bad_faith_still_has_one_answer_per_key(tree):
    """Who makes the root may hide a leaf where no walk comes; it is then absent for everybody."""
    hidden = key("40000000")
    root = commit({0x41: leaf_scalar(hidden, Z)}).to_compressed_bytes()
    said, paths = {hidden: Z}, Paths((), ())
    proof = VerkleProof(
        paths,
        prove(statement_of(root, said, paths), claims_of(root, said, paths), {root: {0x41: leaf_scalar(hidden, Z)}}),
    )
    with pytest.raises(ProofError):
        verify_opening(root, said, proof)
    # A node whose prefix is not on the way of its slot: neither it nor an empty slot can be shown.
    node = commit({0: leaf_scalar(hidden, Z)}).to_compressed_bytes()
    values = {0x41: node_scalar(b"\x40", node)}
    root = commit(values).to_compressed_bytes()
    for prefix in (b"\x40", b"\x41"):
        paths = Paths(((prefix, node),), ())
        for said in ({key("41000000"): None}, {hidden: Z}):
            try:
                claims = claims_of(root, said, paths)
            except ProofError:
                continue
            polynomials = {root: values, node: {0: leaf_scalar(hidden, Z)}}
            with pytest.raises(ProofError):
                verify_opening(
                    root, said, VerkleProof(paths, prove(statement_of(root, said, paths), claims, polynomials))
                )


@pytest.mark.parametrize("seed", range(3))
def test_many_keys_together_say_what_each_says_alone(seed):
    rng = random.Random(seed)  # noqa: S311 - content to be proved
    tree = VerkleTree()
    space = [bytes([rng.randrange(3), rng.randrange(3), rng.randrange(4), rng.randrange(200)]) for _ in range(120)]
    for name in space[:60]:
        tree.set(name, rng.randbytes(32))
    wanted = sorted({*rng.sample(space[:60], 10), *space[60:75]})
    opening = tree.open(wanted)
    root = tree.root()
    verify_opening(root, opening.digests, opening.prove())
    for name in wanted:
        alone = tree.open([name])
        assert alone.digests[name] == opening.digests[name] == tree.get(name)
        verify_opening(root, alone.digests, alone.prove())
        contradiction = None if tree.get(name) else X
        with pytest.raises(ProofError):
            verify_opening(root, {name: contradiction}, alone.prove())


def test_the_verifier_works_alone_in_a_clean_process(tree):
    opening = tree.open([key("40000000"), key("0aff0000")])
    program = """
import sys
from bpci_node.mempool.verkle.proof import VerkleProof
from bpci_node.mempool.verkle.verify import verify_opening
root, proof, *said = sys.argv[1:]
claims = dict(item.split("=") for item in said)
octets = bytes.fromhex
verify_opening(
    octets(root), {octets(k): octets(v) if v else None for k, v in claims.items()}, VerkleProof.decode(octets(proof))
)
print(" ".join(sorted(name for name in sys.modules if name.startswith("bpci_node."))))
"""
    said = [f"{name.hex()}={'' if digest is None else digest.hex()}" for name, digest in opening.digests.items()]
    argv = [sys.executable, "-c", program, opening.root.hex(), opening.prove().encode().hex(), *said]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    allowed = {"bpci_node.errors", "bpci_node.mempool", "bpci_node.mempool.verkle", "bpci_node.primitives"}
    allowed |= {f"bpci_node.mempool.verkle.{name}" for name in ("paths", "proof", "scalars", "verify", "walk")}
    allowed |= {f"bpci_node.primitives.{name}" for name in ("hashing", "kzg", "multiproof", "transcript")}
    assert set(done.stdout.split()) == allowed
