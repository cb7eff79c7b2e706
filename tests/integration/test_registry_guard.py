"""Activation and deactivation over real processes: a registry, a node that joins, and the command line."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import BpciError
from bpci_node.network.client import NodeClient
from bpci_node.primitives.keys import LocalSigner

T = "eip155:1"


def await_state(client: NodeClient, state: str) -> None:
    end = time.monotonic() + 30
    while client.status()["guard"]["state"] != state:
        assert time.monotonic() < end, client.status()["guard"]
        time.sleep(0.05)


def sealing_refused(owner: NodeClient) -> str:
    with pytest.raises(BpciError) as caught:
        owner.seal(T)
    return caught.value.code


def test_a_node_is_activated_by_its_registry_and_stopped_by_the_guardians(
    start: Callable[..., Any], bpci: Callable[..., Any], raws: list[bytes], tmp_path: Path
) -> None:
    registry = start("registry")
    file = tmp_path / "network.json"
    with registry.client() as client:
        client.network().save(file)
        joined = start("joined", network_file=file)
        with joined.client() as follower, joined.owner() as owner:
            follower.submit_entries(T, raws[:20])
            # Who is not registered is not activated; the registry says so to whoever asks.
            assert bpci("registry", "guard", "--node", joined.url).returncode == 1
            assert sealing_refused(owner) == "guard.configured"
            with pytest.raises(BpciError) as unknown:
                client.ask_signed(LocalSigner(bytes([9]) * 32), "/v1/registry/token", {"v": 1})
            assert unknown.value.code == "registry.unknown"
            owner.register()
            assert follower.status()["guard"]["state"] == "proved"
            owner.seal(T, gas_limit=200_000)
            shown = bpci("registry", "token", "--socket", joined.owner_socket, "--json")
            assert json.loads(shown.stdout)["guard"]["state"] == "proved"
            assert json.loads(shown.stdout)["token"].startswith("0x")
            # The registry's key is the ledger's only guardian. The follower learns of it by the block.
            reason = tmp_path / "why.txt"
            reason.write_text("a fault was found")
            options = ("--reason", reason, "--key", registry.home / "registry.key", "--node", registry.url, "--json")
            stopped = bpci("registry", "deactivate", *options)
            assert stopped.returncode == 0, stopped.stderr
            await_state(follower, "deactivated")
            assert sealing_refused(owner) == "guard.deactivated"
            assert json.loads(bpci("registry", "deactivate", *options).stderr)["code"] == "registry.deactivated"
            again = bpci("registry", "token", "--socket", joined.owner_socket, "--json")
            assert again.returncode == 1
            assert json.loads(again.stdout)["guard"]["failure"] == "registry.deactivated"
            # It outlives a restart of the registry, and the quorum ends it.
            assert registry.stop() == 0
            registry = start("registry")
            assert bpci("registry", "guard", "--node", registry.url).stdout.startswith("deactivated")
            resumed = bpci("registry", "reactivate", *options)
            assert resumed.returncode == 0, resumed.stderr
            await_state(follower, "proved")
            owner.seal(T, gas_limit=200_000)
