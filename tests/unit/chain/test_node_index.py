import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.machine import Machine
from bpci_node.chain.node_index import NodeQuery, search_nodes
from bpci_node.chain.registration import FLAGS, NODE_TYPES, NodeRecord, load_node, node_entry, store_node
from bpci_node.chain.state import Overlay, State
from bpci_node.chain.validators import load_active
from bpci_node.errors import FormatError

REGIONS, CAPABILITIES = ("eu", "us"), ("storage", "relay")
NUMBERS = (50, 51, 52, 53)
step = st.tuples(
    st.sampled_from(["admit", "update", "move", "suspend", "resume", "retire", "set_up", "exit", "jail", "rotate"]),
    st.sampled_from(NUMBERS),
    st.integers(0, 7),
)


def command(guild, machine, what, number, choice):
    signer = guild.signer(number)
    account = guild.account(signer)
    flags = dict.fromkeys(FLAGS, False) | {"validator": bool(choice & 1), "app_hosting": bool(choice & 2)}
    wanted = {"flags": flags, "capabilities": CAPABILITIES[: choice % 3]}
    quorum, registration = {"approvals": (12, 13)}, {"now_ms": machine.time_ms, "node_type": NODE_TYPES[choice % 3]}
    kind, body, changes = {
        "admit": ("registry.admit_node", guild.admission(machine, signer, region=REGIONS[choice % 2], **wanted), {}),
        "update": ("registry.update_node", guild.registration(signer, **registration, **wanted), {}),
        "move": ("registry.move_node", {"region": (*REGIONS, None)[choice % 3]}, {}),
        "suspend": ("registry.suspend_node", {"node": account, "cause": bytes(32), "until_height": 999}, quorum),
        "resume": ("registry.resume_node", {"node": account}, quorum),
        "retire": ("registry.retire_node", {}, {}),
        "set_up": ("validator.set_up", guild.set_up(number), {}),
        "exit": ("validator.exit", {}, {}),
        "jail": ("validator.jail", {"validator": account, "cause": bytes(32)}, quorum),
        "rotate": ("registry.raise_instance", {"instance": choice}, {}),
    }[what]
    return guild.make(machine, kind, body, guild.node if changes else signer, **changes)


def scan(state, query):
    """The same answer by looking at every node."""
    active = load_active(state)

    def fits(record):
        return (
            query.node_type in (None, record.node_type)
            and query.status in (None, record.status)
            and (query.capability is None or query.capability in record.capabilities)
            and query.region in (None, record.region)
            and (query.flag is None or record.flags[query.flag])
            and (not query.is_validator or record.account in active)
        )

    records = [load_node(state, key.decode().partition("/")[2]) for key, _ in state.entries(node_entry(""))]
    return [record for record in records if fits(record)]


QUERIES = [
    NodeQuery(),
    *(NodeQuery(node_type=name) for name in NODE_TYPES),
    *(NodeQuery(status=name) for name in ("active", "suspended", "retired")),
    *(NodeQuery(capability=name) for name in CAPABILITIES),
    *(NodeQuery(region=name) for name in REGIONS),
    *(NodeQuery(flag=name) for name in FLAGS),
    NodeQuery(is_validator=True),
    NodeQuery(node_type="bpi-community", status="active", capability="relay", region="eu", flag="app_hosting"),
    NodeQuery(region="us", is_validator=True),
]


@settings(max_examples=40, deadline=None)
@given(st.lists(step, max_size=25))
def test_the_indexes_say_what_looking_at_every_node_says_after_any_sequence(guild, base, steps):
    machine = Machine(
        guild.genesis, entries=base.state.entries(), height=base.height, time_ms=base.time_ms, version=base.version
    )
    for item in steps:
        guild.run(machine, command(guild, machine, *item))
    for query in QUERIES:
        assert search_nodes(machine.state, query) == (scan(machine.state, query), None)


@pytest.fixture(scope="module")
def base(guild):
    """A ledger on which every owner has something at stake."""
    machine = guild.started()
    for number in NUMBERS:
        guild.staked(machine, number, 300)
    return machine


def many(count):
    overlay = Overlay(State.of())
    for number in range(count):
        account = "bpa1" + "".join("abcdefgh"[number >> 3 * place & 7] for place in range(9, -1, -1)) + "a" * 22
        flags = dict.fromkeys(FLAGS, False) | {"app_hosting": number % 7 == 0}
        region = "eu" if number % 900 == 899 else "us"
        record = NodeRecord(
            account, bytes(32), "hybrid", flags, ("relay",), (), bytes(32), 0, "active", 1, 1, region, None
        )
        store_node(overlay, record, version=2)
    return State.of((key, value) for key, value in overlay.writes.items() if value is not None)


def test_pages_follow_each_other_and_look_at_a_bounded_number_of_nodes():
    state = many(2500)
    for query in (NodeQuery(), NodeQuery(flag="app_hosting"), NodeQuery(region="eu", capability="relay")):
        found, after, pages = [], "", 0
        while after is not None:
            page, after = search_nodes(state, query, after=after, limit=400)
            found += page
            pages += 1
        assert found == scan(state, query)
        assert pages <= 2500 // 250 + 2
    page, after = search_nodes(state, NodeQuery(capability="relay", region="eu"), limit=3)
    assert (len(page), after is not None) == (0, True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"node_type": "miner"},
        {"status": "dead"},
        {"capability": "A"},
        {"capability": "a/b"},
        {"region": ""},
        {"region": "eu/"},
        {"flag": "x"},
    ],
)
def test_a_search_that_no_node_could_meet_is_refused(wrong):
    with pytest.raises(FormatError):
        NodeQuery(**wrong)


def test_a_page_begins_after_an_account():
    with pytest.raises(FormatError):
        search_nodes(State.of(), NodeQuery(), after="é")


def test_nodes_of_a_ledger_of_version_1_are_found_once_it_has_passed_over(world):
    machine = world.machine()
    signed = world.signed()
    machine.finalize(1, machine.time_ms + 1000, [signed], version=1)
    machine.commit()
    assert {key.partition(b"/")[0] for key, _ in machine.state.entries()} == {b"account", b"key", b"node", b"node-type"}
    world.run(machine, world.signed(signer=world.other))
    found, _ = search_nodes(machine.state, NodeQuery(status="active", capability="auction.ethereum"))
    assert {record.account for record in found} == {world.account(world.node), world.account(world.other)}
