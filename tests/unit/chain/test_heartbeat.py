from dataclasses import replace

from bpci_node.chain.heartbeat import liveness_of, load_beat
from bpci_node.chain.registration import load_node

BEAT = {"health": bytes([5]) * 32, "instance": 0}


def code_of(guild, machine, body, signer, **changes):
    (result,) = guild.run(machine, guild.make(machine, "registry.heartbeat", body, signer, **changes))
    return result.error and result.error.code


def liveness(guild, machine, signer, height=None):
    record = load_node(machine.state, guild.account(signer))
    return liveness_of(machine.state, record, machine.height if height is None else height)


def test_a_node_is_live_for_as_many_blocks_as_the_ledger_says(guild):
    machine, signer = guild.started(), guild.signer(50)
    guild.admitted(machine, 50)
    assert liveness(guild, machine, signer) == "unseen"
    guild.do(machine, "registry.heartbeat", BEAT, signer, fee=0)
    beat = load_beat(machine.state, guild.account(signer))
    assert (beat.height, beat.instance, beat.health, beat.count) == (machine.height, 0, bytes([5]) * 32, 1)
    assert beat.time_ms == machine.time_ms
    assert liveness(guild, machine, signer, beat.height + 5) == "live"
    assert liveness(guild, machine, signer, beat.height + 6) == "silent"


def test_heartbeats_keep_their_distance(guild):
    machine, signer = guild.started(), guild.signer(50)
    guild.admitted(machine, 50)
    guild.do(machine, "registry.heartbeat", BEAT, signer, fee=0)
    assert code_of(guild, machine, BEAT, signer, fee=0) == "registry.heartbeat_rate"
    assert code_of(guild, machine, BEAT, signer, fee=0) is None
    assert load_beat(machine.state, guild.account(signer)).count == 2


def test_only_the_registered_instance_is_heard(guild):
    machine, signer = guild.started(), guild.signer(50)
    guild.admitted(machine, 50)
    assert code_of(guild, machine, BEAT | {"instance": 1}, signer, fee=0) == "registry.instance"
    guild.do(machine, "registry.raise_instance", {"instance": 1}, signer, fee=0)
    assert code_of(guild, machine, BEAT, signer, fee=0) == "registry.instance"
    assert code_of(guild, machine, BEAT | {"instance": 1}, signer, fee=0) is None


def test_an_instance_only_rises(guild):
    machine, signer = guild.started(), guild.signer(50)
    guild.admitted(machine, 50)
    (result,) = guild.run(machine, guild.make(machine, "registry.raise_instance", {"instance": 0}, signer, fee=0))
    assert result.error.code == "registry.instance"
    assert result.error.details == {"least": 1}


def test_only_the_nodes_own_key_speaks_for_it(guild):
    machine, signer, second = guild.started(), guild.signer(50), guild.signer(90)
    guild.admitted(machine, 50)
    guild.staked(machine, 50)
    body = guild.rotation(second, account=guild.account(signer))
    guild.do(machine, "account.rotate_key", body, signer)
    sender = guild.account(signer)
    assert code_of(guild, machine, BEAT, second, sender=sender, fee=0) == "registry.node_key"
    for kind, given in (("registry.raise_instance", {"instance": 1}), ("registry.move_node", {"region": "x"})):
        (result,) = guild.run(machine, guild.make(machine, kind, given, second, sender=sender))
        assert result.error.code == "registry.node_key"


def test_who_is_not_active_is_not_heard(guild):
    machine, signer = guild.started(), guild.signer(50)
    guild.admitted(machine, 50)
    guild.do(machine, "registry.heartbeat", BEAT, signer, fee=0)
    guild.do(machine, "registry.retire_node", {}, signer, fee=0)
    assert liveness(guild, machine, signer) == "retired"
    assert code_of(guild, machine, BEAT, signer, fee=0) == "registry.retired"
    assert code_of(guild, machine, BEAT, guild.signer(51), fee=0) == "registry.unknown"
    guild.admitted(machine, 50, instance=1, **guild_work(guild))
    assert liveness(guild, machine, signer) == "unseen"


def guild_work(guild):
    """An invitation instead of work, since work is bound to the instance."""
    return {name: value for name, value in guild.invitation().items() if name != "work"} | {"work": None}


def test_a_beat_is_stored_as_it_was(guild):
    machine = guild.started()
    guild.admitted(machine, 50)
    guild.do(machine, "registry.heartbeat", BEAT, guild.signer(50), fee=0)
    beat = load_beat(machine.state, guild.account(guild.signer(50)))
    assert beat.as_map() == {"v": 1} | {name: getattr(beat, name) for name in replace(beat).__slots__}
