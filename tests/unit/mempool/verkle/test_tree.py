"""The tree as a map, and its root as a function of its content alone."""

import random
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bpci_node.errors import FormatError
from bpci_node.mempool.verkle.tree import VerkleTree
from bpci_node.mempool.verkle.verify import verify_opening
from bpci_node.primitives.kzg import INFINITY

# Few values per byte, so that neighbours, forks and merges are the rule.
keys = st.lists(st.sampled_from([0, 1, 255]), min_size=4, max_size=4).map(bytes)
digests = st.integers(1, 5).map(lambda n: bytes([n]) * 32)
contents = st.dictionaries(keys, digests, max_size=14)


def tree_of(content):
    tree = VerkleTree()
    for key, digest in content.items():
        tree.set(key, digest)
    return tree


def test_the_empty_tree_is_infinity():
    tree = VerkleTree()
    assert tree.root() == INFINITY
    assert len(tree) == 0
    assert bytes(4) not in tree


@settings(max_examples=40, deadline=None)
@given(contents)
def test_shape_and_root_are_those_of_the_specification(shape_of, content):
    tree = tree_of(content)
    shape = shape_of(content)
    assert tree.root() == shape.pop(b"")
    if content:
        assert dict(tree.open(list(content)).paths.nodes) == shape


@settings(max_examples=40, deadline=None)
@given(contents, contents, st.randoms(use_true_random=False))
def test_the_root_forgets_how_the_content_came_about(before, content, rng):
    tree = tree_of(before)
    if rng.random() < 0.5:
        tree.root()
    steps = [(key, None) for key in before if key not in content] + list(content.items())
    rng.shuffle(steps)
    for key, digest in steps:
        if digest is None:
            tree.delete(key)
        else:
            tree.set(key, digest)
        if rng.random() < 0.3:
            tree.root()
    assert tree.root() == tree_of(content).root()
    assert len(tree) == len(content)


class Against(RuleBasedStateMachine):
    """Any operations, beside a dict."""

    def __init__(self):
        super().__init__()
        self.tree = VerkleTree()
        self.model = {}

    @rule(key=keys, digest=digests)
    def set(self, key, digest):
        self.tree.set(key, digest)
        self.model[key] = digest

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete(self, data):
        key = data.draw(st.sampled_from(sorted(self.model)))
        self.tree.delete(key)
        del self.model[key]

    @rule(key=keys)
    def delete_what_may_be_absent(self, key):
        if key in self.model:
            return
        with pytest.raises(KeyError):
            self.tree.delete(key)

    @rule()
    def root(self):
        assert self.tree.root() == tree_of(self.model).root()

    @rule(wanted=st.sets(keys, min_size=1, max_size=5))
    def prove(self, wanted):
        opening = self.tree.open(list(wanted))
        assert opening.digests == {key: self.model.get(key) for key in wanted}
        verify_opening(self.tree.root(), opening.digests, opening.prove())

    @rule(key=keys)
    def get(self, key):
        assert self.tree.get(key) == self.model.get(key)
        assert (key in self.tree) == (key in self.model)

    @invariant()
    def size(self):
        assert len(self.tree) == len(self.model)


TestAgainstADict = Against.TestCase
TestAgainstADict.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_setting_a_key_to_what_it_holds_changes_nothing():
    tree = tree_of({b"abcd": bytes(32)})
    root = tree.root()
    tree.set(b"abcd", b"\x01" * 32)
    assert tree.root() != root
    tree.set(b"abcd", bytes(32))
    assert tree.root() == root


def test_a_tree_that_lost_everything_is_empty_again():
    content = {bytes([a, b, 0, c]): bytes(32) for a in range(3) for b in range(3) for c in range(3)}
    tree = tree_of(content)
    tree.root()
    for key in content:
        tree.delete(key)
    assert (tree.root(), len(tree)) == (INFINITY, 0)


def test_the_zero_digest_is_a_digest():
    assert tree_of({b"abcd": bytes(32)}).root() != INFINITY
    assert b"abcd" in tree_of({b"abcd": bytes(32)})


@pytest.mark.parametrize(("key", "digest"), [(b"abc", bytes(32)), (b"abcde", bytes(32)), (b"abcd", bytes(31))])
def test_keys_and_digests_have_one_length(key, digest):
    with pytest.raises(ValueError):
        VerkleTree().set(key, digest)


@pytest.mark.parametrize("key", [b"", b"abc", b"abcde"])
def test_a_key_of_another_length_is_not_there(key):
    tree = tree_of({b"abcd": bytes(32), b"abce": bytes(32)})
    assert tree.get(key) is None


@pytest.mark.parametrize("wanted", [[], [b"abc"], [b"abcd", b"abcd"], [n.to_bytes(4, "big") for n in range(4097)]])
def test_only_sensible_keys_can_be_opened(wanted):
    with pytest.raises(FormatError) as raised:
        VerkleTree().open(wanted)
    assert raised.value.code == "format.verkle_keys"


def test_an_opening_is_of_its_root_however_the_tree_moves_on():
    rng = random.Random(3)  # noqa: S311 - content to be proved
    tree = tree_of({rng.randbytes(4): rng.randbytes(32) for _ in range(300)})
    wanted = [rng.randbytes(4) for _ in range(20)]
    for key in wanted[:10]:
        tree.set(key, rng.randbytes(32))
    opening = tree.open(wanted)
    root, said = tree.root(), dict(opening.digests)
    proofs = []
    worker = Thread(target=lambda: proofs.append(opening.prove()))
    worker.start()
    for key in wanted:
        tree.set(key, rng.randbytes(32))
        tree.root()
    worker.join()
    assert opening.root == root != tree.root()
    verify_opening(root, said, proofs[0])


def test_changes_wait_until_a_root_is_asked_for():
    tree = tree_of({b"abcd": bytes(32)})
    root = tree.root()
    tree.set(b"zzzz", bytes(32))
    assert tree.open([b"zzzz"]).root == tree.root() != root


def test_a_root_costs_only_the_nodes_on_the_ways_of_what_changed():
    tree = tree_of({bytes([a, b, 0, 0]): bytes(32) for a in range(4) for b in range(4)})
    tree.root()
    before = [tree._root.children[slot]._point for slot in range(4)]
    tree.set(bytes([2, 1, 0, 0]), b"\x01" * 32)
    tree.root()
    after = [tree._root.children[slot]._point for slot in range(4)]
    assert [a is b for a, b in zip(before, after, strict=True)] == [True, True, False, True]
