import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.state import Overlay, State, entry_hash
from bpci_node.primitives.merkle import EMPTY_ROOT, prove, root_of, verify

keys = st.binary(min_size=1, max_size=2)
# Few different keys, so that sequences of writes meet each other.
writes = st.dictionaries(st.sampled_from([bytes([n]) for n in range(24)]), st.none() | st.binary(max_size=3))


def plain_root(entries):
    return root_of([entry_hash(key, value) for key, value in sorted(entries.items())])


def test_the_empty_state_has_the_root_of_the_empty_tree():
    assert State.of().root == EMPTY_ROOT
    assert len(State.of()) == 0


@given(st.dictionaries(keys, st.binary(max_size=4)), st.randoms(use_true_random=False))
def test_the_root_does_not_depend_on_the_order_of_entries(entries, random):
    shuffled = list(entries.items())
    random.shuffle(shuffled)
    assert State.of(shuffled).root == State.of(entries.items()).root == plain_root(entries)


@settings(max_examples=400)
@given(st.lists(writes, max_size=12))
def test_the_root_depends_on_what_is_there_and_not_on_how_it_came(batches):
    state, plain = State.of(), {}
    for batch in batches:
        before = (state.root, list(state.entries()))
        following = state.with_writes(batch)
        assert (state.root, list(state.entries())) == before
        for key, value in batch.items():
            if value is None:
                plain.pop(key, None)
            else:
                plain[key] = value
        state = following
        assert dict(state.entries()) == plain
        assert state.root == plain_root(plain) == State.of(plain.items()).root
        assert list(state.leaf_hashes) == [entry_hash(*entry) for entry in sorted(plain.items())]


@given(st.dictionaries(keys, st.binary(max_size=4), min_size=1), st.data())
def test_an_entry_is_provable_against_the_root(entries, data):
    state = State.of(entries.items())
    key = data.draw(st.sampled_from(sorted(entries)))
    index = state.index_of(key)
    proof = prove(state.leaf_hashes, [index])
    verify([(index, entry_hash(key, entries[key]))], len(state), proof, state.root)


def test_a_key_that_is_not_there_has_no_position():
    state = State.of([(b"a", b"1"), (b"c", b"2")])
    assert [state.index_of(key) for key in (b"", b"a", b"b", b"c", b"d")] == [None, 0, None, 1, None]


@given(st.dictionaries(keys, st.binary(max_size=1)), st.binary(max_size=2), st.binary(max_size=2))
def test_entries_are_listed_by_prefix_and_after_a_key(entries, prefix, after):
    expected = [item for item in sorted(entries.items()) if item[0].startswith(prefix) and item[0] > after]
    if not after:
        expected = [item for item in sorted(entries.items()) if item[0].startswith(prefix)]
    assert list(State.of(entries.items()).entries(prefix, after=after)) == expected


@pytest.mark.parametrize(("one", "other"), [((b"ab", b"c"), (b"a", b"bc")), ((b"a", b""), (b"", b"a"))])
def test_keys_and_values_are_kept_apart_in_a_leaf(one, other):
    assert entry_hash(*one) != entry_hash(*other)


def test_an_overlay_shows_its_writes_and_keeps_them_until_flushed():
    state = State.of([(b"a", b"1"), (b"b", b"2")])
    outer = Overlay(state)
    inner = Overlay(outer)
    inner.put(b"a", b"3")
    inner.delete(b"b")
    assert (inner.get(b"a"), inner.get(b"b"), inner.get(b"c")) == (b"3", None, None)
    assert (outer.get(b"a"), outer.get(b"b")) == (b"1", b"2")
    inner.flush_into(outer)
    assert (outer.get(b"a"), outer.get(b"b")) == (b"3", None)
    assert state.get(b"a") == b"1"
    assert dict(state.with_writes(outer.writes).entries()) == {b"a": b"3"}
