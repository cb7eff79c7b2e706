"""The steps of set-up that concern this machine alone: keys, settings, network, account, node service."""

from __future__ import annotations

import time

from bpci_node.chain.account import account_id_of
from bpci_node.errors import HostError
from bpci_node.network.client import NodeClient
from bpci_node.primitives.derivation import derive_keys
from bpci_node.primitives.keys import LocalSigner, did_of
from bpci_node.setup import (
    encryption,
    guest,
    interfaces,
    keystore,
    ledger,
    machine,
    networking,
    node_files,
    settings,
    trial,
)
from bpci_node.setup.run import Run, Step
from bpci_node.setup.turn import COMPLETE

SERVICES = "bpci-services.target"
"""What works beside the node once the machine has an owner."""


def _bind_disk(run: Run) -> None:
    if encryption.state(run.system) == "none":
        raise HostError(
            "the data partition is not encrypted",
            code="host.encryption",
            hint="Start set-up again: it restarts the machine first, which encrypts it.",
        )
    if encryption.state(run.system) == "new":
        encryption.bind(run.system, encryption.PARTITION, run.disk_key)


def _disk_is_bound(run: Run) -> bool:
    return encryption.state(run.system) in ("tpm", "recovery")


def _key_names(run: Run) -> tuple[str, ...]:
    names: tuple[str, ...] = (keystore.NODE_KEY,)
    if run.plan.answers.join.mode == "devnet":
        names += (keystore.REGISTRY_KEY,)
    # What an earlier version began has no backup key, and only the phrase would make one.
    if run.phrase or keystore.is_there(run.system, keystore.BACKUP_KEY):
        names += (keystore.BACKUP_KEY,)
    return names


def _seal_keys(run: Run) -> None:
    encryption.check_bound(run.system)
    names = _key_names(run)
    if run.phrase:
        keys = derive_keys(run.phrase)
        seeds = {
            keystore.NODE_KEY: keys.node,
            keystore.REGISTRY_KEY: keys.registry,
            keystore.BACKUP_KEY: keys.backup_key,
        }
    else:
        seeds = {name: keystore.open_key(run.system, name) for name in names}
    for name in names:
        keystore.keep(run.system, name, seeds[name])
    note_identity(run, LocalSigner(seeds[keystore.NODE_KEY]))


def note_identity(run: Run, signer: LocalSigner) -> None:
    """Put the names of the node's key and account among the results."""
    run.journal.results["did"] = did_of(signer.public_key)
    run.journal.results["account"] = account_id_of(signer.public_key)


def _keys_hold(run: Run) -> bool:
    if run.phrase and did_of(run.signer().public_key) != run.journal.results.get("did"):
        return False
    return all(keystore.is_kept(run.system, name) for name in _key_names(run))


def _write_settings(run: Run) -> None:
    run.system.write(settings.PATH, settings.dump(settings.settings_of(run.plan.answers)), settings.MODE)


def _settings_hold(run: Run) -> bool:
    return run.system.holds(settings.PATH, settings.dump(settings.settings_of(run.plan.answers)), settings.MODE)


def _set_machine(run: Run) -> None:
    machine.name_machine(run.system, run.plan.answers.machine)
    machine.set_keyboard_and_clock(run.system, run.plan.answers.machine)


def _machine_holds(run: Run) -> bool:
    return run.system.read_text("/etc/hostname") == run.plan.answers.machine.hostname


def _set_link(run: Run) -> None:
    networking.set_network(run.system, run.plan.answers.network)
    # What the wizard has tried and held is written down now, and no trial any more.
    trial.restore(run.system)
    end = time.monotonic() + run.address_seconds
    while not (addresses := interfaces.own_addresses(run.system)) and time.monotonic() < end:
        run.say("waiting for an address")
        time.sleep(1)
    # A devnet lives on this machine alone, so it can come up without any network.
    if not addresses and run.plan.answers.join.mode == "network":
        raise HostError(
            "this machine has no network address",
            code="host.no_address",
            hint=" ".join(interfaces.preflight(interfaces.list_interfaces(run.system), "")),
        )
    run.journal.results["addresses"] = addresses


def _link_holds(run: Run) -> bool:
    same = run.journal.results.get("addresses") == interfaces.own_addresses(run.system)
    return same and networking.network_is_set(run.system, run.plan.answers.network)


def _make_owner(run: Run) -> None:
    name, results = run.plan.answers.owner.name, run.journal.results
    # Who was named before a step failed, and is not any more, must not stay an administrator.
    if (earlier := results.get("made_owner", name)) != name:
        machine.remove_owner(run.system, str(earlier))
        del results["made_owner"]
    if not machine.home_of(run.system, name):
        results["made_owner"] = name
        run.journal.save()
    machine.make_owner(run.system, run.plan.answers.owner, replace_keys=True)


def _owner_holds(run: Run) -> bool:
    return bool(machine.home_of(run.system, run.plan.answers.owner.name))


def _node_text(run: Run) -> str:
    results = run.journal.results
    endpoints = run.plan.answers.node.endpoints or node_files.own_endpoints(results.get("addresses", []))
    return node_files.config_text(run.plan.answers, endpoints=endpoints, instance=int(results.get("instance", 0)))


def _write_node(run: Run) -> None:
    run.system.write(node_files.CONFIG, _node_text(run))
    machine.hand_over_keys(run.system)


def _node_holds(run: Run) -> bool:
    return run.system.holds(node_files.CONFIG, _node_text(run)) and run.system.holds(
        machine.NODE_DROP_IN, keystore.drop_in(run.system)
    )


def _open_ssh(run: Run) -> None:
    machine.enable(run.system, "ssh.service")


def _start_node(run: Run) -> None:
    run.system.run("systemctl", "enable", "bpci-node.service")
    # Not "start": a run that was interrupted may have left it running with an earlier configuration.
    run.system.run("systemctl", "restart", "bpci-node.service", hint="journalctl -u bpci-node says why.")
    with NodeClient(run.api) as client:
        ledger.wait_until_ready(client)
        run.journal.results["ledger"] = client.status()["ledger"]["id"]


def _finish(run: Run) -> None:
    guest.close_ssh(run.system)
    machine.remember_applied(run.system)
    run.system.write(COMPLETE, "")
    # From here on nobody needs the plan, and with it goes the password's hash. Not before: a power cut between the two
    # would leave a wizard that knows of no earlier run, and makes another identity.
    run.journal.plan, run.journal.goes_on = None, ""
    run.journal.results.pop("made_owner", None)
    run.journal.save()
    # Not awaited: the person is done, whatever takes its time to start.
    run.system.attempt("systemctl", "--no-block", "start", SERVICES)


def _repeats(_run: Run) -> bool:
    return False


def _stays(_run: Run) -> bool:
    return True


BIND = Step("encryption", "Bind the disk to the TPM", _bind_disk, _disk_is_bound, "Is the TPM on in the firmware?")
KEYS = Step("keys", "Put the node's keys to rest", _seal_keys, _keys_hold, "Try again; the phrase is not lost.")
SETTINGS = Step("settings", "Save the settings", _write_settings, _settings_hold, "Look at the free space of the disk.")
MACHINE = Step("machine", "Name, keyboard, clock", _set_machine, _machine_holds, "Change the answer, and try again.")
LINK = Step("network", "Network", _set_link, _link_holds, "Check the cable and the address, and try again.")
OWNER = Step("owner", "Owner's account", _make_owner, _owner_holds, "Choose another login name, and try again.")
NODE = Step("node", "The node's configuration", _write_node, _node_holds, "Look at the free space of the disk.")
SSH = Step("ssh", "Open SSH for the owner's keys", _open_ssh, _stays, "journalctl -u ssh says why.")
START = Step("start", "Start the node", _start_node, _repeats, "journalctl -u bpci-node says why.")
FINISH = Step("finish", "Close set-up", _finish, _stays, "Try again.")
