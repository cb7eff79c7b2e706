"""Security fixes that install themselves, what they must leave alone, and the units around updates of the node."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.infra.container import Container
from tests.infra.native import Play, in_root

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1800)]

UNITS = ("bpci-update-recover.service", "bpci-update-report.service", "bpci-update-window.service")
TIMER = "bpci-update-window.timer"
REPOSITORY = r"""
import hashlib, pathlib, subprocess
top = pathlib.Path("/var/tmp/bpci-test-repository")
pool, lists = top / "pool", top / "dists/bookworm-security/main/binary-amd64"
for place in (pool, lists):
    place.mkdir(parents=True, exist_ok=True)
entries = []
for name in ("bpci-test-fix", "docker-bpci-test", "containerd-bpci-test"):
    for version in ("1", "2"):
        tree = top / f"{name}-{version}"
        (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: test <test@localhost>\n"
        control += "Description: a package of a test\n"
        (tree / "DEBIAN/control").write_text(control)
        deb = pool / f"{name}_{version}_all.deb"
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, deb], check=True, stdout=subprocess.DEVNULL)
        data = deb.read_bytes()
        if version == "1":
            subprocess.run(["dpkg", "--install", deb], check=True, stdout=subprocess.DEVNULL)
        else:
            digest = hashlib.sha256(data).hexdigest()
            entries.append(control + f"Filename: pool/{deb.name}\nSize: {len(data)}\nSHA256: {digest}\n")
packages = "\n".join(entries).encode()
(lists / "Packages").write_bytes(packages)
digest = hashlib.sha256(packages).hexdigest()
(top / "dists/bookworm-security/Release").write_text(
    "Origin: Debian\nLabel: Debian-Security\nSuite: stable-security\nCodename: bookworm-security\n"
    "Architectures: amd64\nComponents: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
    f"SHA256:\n {digest} {len(packages)} main/binary-amd64/Packages\n"
)
source = f"deb [trusted=yes] file:{top} bookworm-security main\n"
pathlib.Path("/etc/apt/sources.list.d/bpci-test.list").write_text(source)
"""


@pytest.fixture(scope="module")
def fixes(machine: Container) -> Iterator[Container]:
    """The machine with three packages installed, of which a security archive on its disk has newer versions."""
    machine.run(f"python3 - <<'END'\n{REPOSITORY}END")
    only = "-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=/var/tmp/bpci-test-parts"
    machine.run(
        "mkdir -p /var/tmp/bpci-test-parts && cp /etc/apt/sources.list.d/bpci-test.list /var/tmp/bpci-test-parts/"
    )
    machine.run(f"apt-get -qq {only} update")
    yield machine
    machine.run("dpkg --purge bpci-test-fix docker-bpci-test containerd-bpci-test; rm -f /run/bpci-packages-changed")
    machine.run("rm -rf /etc/apt/sources.list.d/bpci-test.list /var/tmp/bpci-test-*")


def _version(machine: Container, package: str) -> str:
    return machine.run(f"dpkg-query --show --showformat='${{Version}}' {package}").strip()


def test_units_are_well_formed_contained_and_start_where_they_should(play: Play) -> None:
    command = ["systemd-analyze", "verify", f"--root={play.root}", *UNITS, TIMER]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for unit in UNITS:
        command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", f"--root={play.root}", unit]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-300:]
    for unit in (UNITS[0], UNITS[1], TIMER):
        assert in_root(play, "systemctl", "is-enabled", unit).strip() == "enabled"
    links = in_root(play, "sh", "-c", "ls /etc/systemd/system/bpci-services.target.wants/").split()
    assert {UNITS[1], TIMER} <= set(links)


def test_the_installer_of_versions_is_there_and_nobody_s_key_is_trusted_by_default(play: Play) -> None:
    assert "--beside" in in_root(play, "/usr/lib/bpci/install-prefix", "--help")
    found = json.loads(in_root(play, "/usr/local/bin/bpci", "update", "status", "--json"))
    assert (found["keys"], found["last"], found["under_way"]) == ([], None, None)


def test_security_fixes_install_themselves_and_what_runs_containers_is_left_alone(fixes: Container) -> None:
    said = fixes.run("unattended-upgrade --dry-run --debug 2>&1", seconds=300)
    assert "bpci-test-fix" in said
    fixes.run("unattended-upgrade --debug >/var/tmp/bpci-test-log 2>&1", status=None, seconds=300)
    log = fixes.run("cat /var/tmp/bpci-test-log")
    assert _version(fixes, "bpci-test-fix") == "2", log[-3000:]
    assert _version(fixes, "docker-bpci-test") == "1", log[-3000:]
    assert _version(fixes, "containerd-bpci-test") == "1", log[-3000:]
    assert fixes.run("test -e /run/bpci-packages-changed && echo there").strip() == "there"
    allowed = fixes.run("apt-config dump Unattended-Upgrade").splitlines()
    origins = [line for line in allowed if "Origins-Pattern:: " in line]
    assert origins
    assert all("security" in line for line in origins)


def test_services_of_ours_are_never_restarted_behind_their_back(machine: Container) -> None:
    program = "$nrconf{override_rc} = {}; $nrconf{verbosity} = 0; "
    program += "for (sort glob '/etc/needrestart/conf.d/*.conf') { do $_; die $@ if $@ } "
    program += (
        "for my $unit (qw(bpci-node.service docker.service containerd.service getty@tty2.service ssh.service)) { "
    )
    program += "my $value = 'by itself'; for my $form (keys %{$nrconf{override_rc}}) { "
    program += "$value = 'left' if $unit =~ /$form/ && !$nrconf{override_rc}{$form} } print \"$unit $value\\n\" } "
    program += 'print "mode $nrconf{restart}\\n"'
    machine.run(f"cat >/var/tmp/bpci-test.pl <<'END'\nour %nrconf;\n{program}\nEND")
    said = machine.run("perl /var/tmp/bpci-test.pl; rm /var/tmp/bpci-test.pl").split("\n")
    assert said[:6] == [
        "bpci-node.service left",
        "docker.service left",
        "containerd.service left",
        "getty@tty2.service left",
        "ssh.service by itself",
        "mode a",
    ]


def test_an_update_that_was_cut_off_is_undone_at_boot_by_the_version_that_began_it(machine: Container) -> None:
    prefix = machine.run("readlink /opt/bpci").strip()
    version = {"prefix": prefix, "version": "0.1.0", "sequence": 0, "digest": "", "formats": [2, 2]}
    coming = {**version, "prefix": "bpci-broken", "version": "9.9.9", "sequence": 9, "digest": "ab" * 32}
    journal = {
        "v": 1,
        "phase": "proving",
        "former": version,
        "coming": coming,
        "began_ms": 1,
        "was_running": False,
        "has_copy": False,
        "is_served": False,
        "reason": "",
        "before": {},
    }
    machine.run("mkdir -p /opt/bpci-broken/bin /var/lib/bpci/update && ln -sfn bpci-broken /opt/bpci")
    machine.run(f"cat >/var/lib/bpci/update/journal.json <<'END'\n{json.dumps(journal, indent=1)}\nEND")
    # At boot the node waits for this unit, so it does not run yet.
    machine.run("systemctl stop bpci-node.service && systemctl start bpci-update-recover.service", seconds=120)
    assert machine.run("readlink /opt/bpci").strip() == prefix
    found = json.loads(machine.run("bpci update status --json", status=1))
    assert (found["last"]["outcome"], found["under_way"]) == ("rolled_back", None)
    assert "cut off" in found["last"]["reason"]
    machine.run("rm -rf /opt/bpci-broken /var/lib/bpci/update")
    # Without anything to undo it costs a boot nothing.
    machine.run("systemctl start bpci-update-recover.service")
    shown = machine.run("systemctl show --property=ConditionResult bpci-update-recover.service").strip()
    assert shown == "ConditionResult=no"
    machine.run("systemctl start bpci-node.service", seconds=120)
