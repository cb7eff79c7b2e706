"""Docker on the appliance: confined before it first runs, and not running until somebody wants it."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

from tests.infra.conftest import Owned
from tests.infra.native import Play, in_root

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1800)]


def test_its_settings_confine_it(play: Play) -> None:
    settings = json.loads((play.root / "etc/docker/daemon.json").read_text())
    assert settings["userns-remap"] == "dockremap"
    assert settings["no-new-privileges"] is True
    assert settings["live-restore"] is True
    assert settings["icc"] is False
    assert settings["userland-proxy"] is False
    assert settings["ip"] == "127.0.0.1", "a published port is this machine's own, unless its owner names an address"
    assert settings["log-opts"] == {"max-file": "3", "max-size": "10m"}
    assert settings["data-root"].startswith("/var/lib/bpci/"), "on the data partition"


def test_containers_have_numbers_that_nobody_else_has(play: Play) -> None:
    for name in ("subuid", "subgid"):
        ranges = [line.split(":") for line in (play.root / "etc" / name).read_text().split()]
        assert ["dockremap", "231072", "65536"] in ranges
        taken = sorted((int(start), int(start) + int(count)) for _, start, count in ranges)
        assert all(before[1] <= after[0] for before, after in pairwise(taken)), taken
    assert in_root(play, "id", "-u", "dockremap").strip() == "888"


def test_nobody_is_root_by_its_socket(play: Play) -> None:
    assert re.fullmatch(r"docker:x:\d+:\n", in_root(play, "getent", "group", "docker"))


def test_only_its_socket_waits_for_the_owner(play: Play) -> None:
    for unit in ("docker.service", "containerd.service"):
        assert in_root(play, "systemctl", "is-enabled", unit, status=1).strip() == "disabled"
    system = play.root / "etc/systemd/system"
    assert [path.parent.name for path in system.glob("*.wants/*") if path.name == "docker.socket"] == [
        "bpci-services.target.wants"
    ]


def test_nothing_of_it_runs_on_a_machine_that_was_just_set_up(owned: Owned) -> None:
    assert owned.machine.run("systemctl is-active docker.socket").strip() == "active"
    assert owned.machine.run("systemctl is-active docker.service", status=3).strip() == "inactive"
    assert owned.machine.run("pgrep -c 'dockerd|containerd'", status=1).strip() == "0"


def test_it_starts_when_it_is_first_used_and_confined(owned: Owned) -> None:
    """On a file system in memory: docker's own does not lie over the one that the test machine's root is."""
    run = owned.machine.run
    run("systemctl stop docker.socket docker.service && mkdir -p /var/lib/bpci/docker")
    run("mount -t tmpfs tmpfs /var/lib/bpci/docker && systemctl start docker.socket")
    try:
        found = json.loads(run("docker info --format '{{json .}}'", seconds=120))
        assert "name=userns" in found["SecurityOptions"]
        assert (found["LiveRestoreEnabled"], found["LoggingDriver"]) == (True, "json-file")
        assert found["DockerRootDir"] == "/var/lib/bpci/docker/231072.231072"
    finally:
        run("systemctl stop docker.socket docker.service containerd.service", seconds=120)
        run("umount /var/lib/bpci/docker && systemctl start docker.socket")
