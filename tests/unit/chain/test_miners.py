import pytest

from bpci_node.chain.capacity import load_capacity
from bpci_node.chain.miners import list_miners, load_miner
from bpci_node.errors import FormatError

REGISTER, UPDATE, RETIRE = "registry.register_miner", "registry.update_miner", "registry.retire_miner"
DECLARE = "registry.declare_capacity"


@pytest.fixture
def town(guild):
    machine = guild.started()
    for number in (50, 51, 52):
        guild.staked(machine, number)
    return machine


def code_of(guild, machine, kind, body, number=50):
    (result,) = guild.run(machine, guild.make(machine, kind, body, guild.signer(number)))
    return result.error and result.error.code


def accounts(miners):
    return {miner.account for miner in miners}


def test_a_miner_registers_changes_and_retires(guild, town):
    account = guild.account(guild.signer(50))
    guild.do(town, REGISTER, guild.miner(50), guild.signer(50))
    record = load_miner(town.state, account)
    assert (record.hash_power, record.pool, record.status) == (5, "north", "active")
    assert code_of(guild, town, REGISTER, guild.miner(50)) == "registry.miner_duplicate"
    guild.do(town, UPDATE, {"hash_power": 9, "pool": "south"}, guild.signer(50))
    assert load_miner(town.state, account).hash_power == 9
    assert (list_miners(town.state, pool="north"), accounts(list_miners(town.state, pool="south"))) == ([], {account})
    guild.do(town, RETIRE, {}, guild.signer(50))
    assert load_miner(town.state, account).status == "retired"
    assert list_miners(town.state, pool="south") == []
    for kind, body in ((UPDATE, {"hash_power": 1, "pool": None}), (RETIRE, {})):
        assert code_of(guild, town, kind, body) == "registry.miner_unknown"
    guild.do(town, REGISTER, guild.miner(50, pool=None), guild.signer(50))
    assert load_miner(town.state, account).pool is None


def test_a_miners_key_agrees_and_serves_one_miner(guild, town):
    guild.do(town, REGISTER, guild.miner(50), guild.signer(50))
    key = guild.signer(1050)
    assert code_of(guild, town, REGISTER, guild.miner(51, key=key), 51) == "registry.miner_key"
    elsewhere = guild.miner(51, account=guild.account(guild.signer(52)))
    assert code_of(guild, town, REGISTER, elsewhere, 51) == "proof.signature"
    assert code_of(guild, town, REGISTER, guild.miner(51) | {"miner_key": bytes(32)}, 51) == "format.key"


def test_miners_are_listed_page_by_page_and_by_pool(guild, town):
    for number in (50, 51, 52):
        guild.do(town, REGISTER, guild.miner(number, pool="north" if number < 52 else "south"), guild.signer(number))
    everyone = list_miners(town.state)
    assert [miner.account for miner in everyone] == sorted(accounts(everyone))
    assert len(everyone) == 3
    first, *_ = list_miners(town.state, limit=1)
    assert list_miners(town.state, after=first.account) == everyone[1:]
    assert len(list_miners(town.state, pool="north")) == 2
    for wrong in ({"pool": "a/b"}, {"pool": ""}, {"after": "é"}):
        with pytest.raises(FormatError):
            list_miners(town.state, **wrong)


CAPACITY = {
    "mx_verkle_buckets": 900,
    "auction_windows_per_sec": 9,
    "download_bps": 94_000_000,
    "upload_bps": None,
    "report_digest": None,
}


def test_a_miner_declares_what_it_carries_and_may_do_so_anew(guild, town):
    account = guild.account(guild.signer(50))
    assert code_of(guild, town, DECLARE, CAPACITY) == "registry.miner_unknown"
    guild.do(town, REGISTER, guild.miner(50), guild.signer(50))
    assert load_capacity(town.state, account) is None
    guild.do(town, DECLARE, CAPACITY, guild.signer(50))
    assert load_capacity(town.state, account).as_body() == CAPACITY
    guild.do(town, DECLARE, CAPACITY | {"mx_verkle_buckets": 1, "upload_bps": 0}, guild.signer(50))
    assert load_capacity(town.state, account).mx_verkle_buckets == 1
    assert code_of(guild, town, DECLARE, CAPACITY | {"mx_verkle_buckets": -1}) == "format.body"
    guild.do(town, RETIRE, {}, guild.signer(50))
    assert code_of(guild, town, DECLARE, CAPACITY) == "registry.miner_unknown"


def test_a_declaration_names_the_report_of_the_node_s_registration_or_none(guild, town):
    guild.do(town, REGISTER, guild.miner(50), guild.signer(50))
    named = CAPACITY | {"report_digest": b"\1" * 32}
    assert code_of(guild, town, DECLARE, named) == "registry.miner_report"
    node = guild.registration(guild.signer(50), report_digest=b"\1" * 32, now_ms=town.time_ms)
    guild.do(town, "registry.register_node", node, guild.signer(50))
    guild.do(town, DECLARE, named, guild.signer(50))
    assert load_capacity(town.state, guild.account(guild.signer(50))).report_digest == b"\1" * 32
    assert code_of(guild, town, DECLARE, CAPACITY | {"report_digest": b"\2" * 32}) == "registry.miner_report"
