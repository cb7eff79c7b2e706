"""What the hardening role leaves on the appliance, seen by the programs that obey it."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.infra.native import Play, in_root

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1800)]

# A machine with one published port, its container, and somebody outside, each in a network name space of its own.
PUBLISHED = r"""
set -euo pipefail
root=$1
mount -t tmpfs tmpfs "$root/run"
ip link set lo up
hold() { unshare --net sleep 300 & }
hold; outside=$!
hold; container=$!
trap 'kill $outside $container' EXIT
own=$(readlink /proc/self/ns/net)
for process in $outside $container; do
  until there=$(readlink "/proc/$process/ns/net") && [ "$there" != "$own" ]; do sleep 0.1; done
done
ip link add wan type veth peer name eth0 netns "/proc/$outside/ns/net"
ip link add docker0 type veth peer name eth0 netns "/proc/$container/ns/net"
ip address add 192.0.2.1/24 dev wan; ip link set wan up
ip address add 172.17.0.1/24 dev docker0; ip link set docker0 up
within() { nsenter --net="/proc/$1/ns/net" -- "${@:2}"; }
for name in outside container; do
  [ $name = outside ] && network=192.0.2 process=$outside || network=172.17.0 process=$container
  within $process ip address add $network.2/24 dev eth0
  within $process ip link set lo up; within $process ip link set eth0 up
  within $process ip route add default via $network.1
done
echo 1 >/proc/sys/net/ipv4/ip_forward
chroot "$root" /lib/ufw/ufw-init start >/dev/null
# what Docker does for a published port
chroot "$root" iptables -I FORWARD -j DOCKER-USER
chroot "$root" iptables -A FORWARD -o docker0 -j ACCEPT
chroot "$root" iptables -A FORWARD -i docker0 -j ACCEPT
chroot "$root" iptables -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
within $container python3 -m http.server 80 >/dev/null 2>&1 &
server=$!
trap 'kill $outside $container $server' EXIT
within $outside python3 -m http.server 81 >/dev/null 2>&1 &
caller=$!
trap 'kill $outside $container $server $caller' EXIT
call='import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)'
reach() { within "$1" python3 -c "$call" "$2" "$3" 2>/dev/null; }
for attempt in $(seq 60); do
  reach $container 172.17.0.2 80 && reach $outside 192.0.2.2 81 && break
  sleep 0.5
done
reach $outside 192.0.2.1 8080 && echo "published port: open" || echo "published port: closed"
reach $container 192.0.2.2 81 && echo "container's calls: open" || echo "container's calls: closed"
chroot "$root" iptables -A ufw-user-forward -p tcp --dport 80 -j ACCEPT
reach $outside 192.0.2.1 8080 && echo "allowed port: open" || echo "allowed port: closed"
"""


def test_a_published_port_is_closed_until_the_owner_opens_it(play: Play) -> None:
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--propagation", "private", "bash", "-c", PUBLISHED, "bash", str(play.root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "published port: closed",
        "container's calls: open",
        "allowed port: open",
    ], done.stderr


def test_sudo_takes_its_rules_and_keeps_a_log(play: Play) -> None:
    assert "00-bpci: parsed OK" in in_root(play, "visudo", "-c")
    rules = in_root(play, "cat", "/etc/sudoers.d/00-bpci").splitlines()
    assert {"Defaults use_pty", "Defaults logfile=/var/log/sudo.log"} <= set(rules)


def test_wrong_passwords_are_counted_and_weak_ones_refused(play: Play) -> None:
    entry = re.findall(r"^auth\s+(.*?)\s*$", in_root(play, "cat", "/etc/pam.d/common-auth"), re.MULTILINE)
    modules = [re.findall(r"pam_\w+\.so(?: preauth| authfail)?", line)[0] for line in entry]
    assert modules[:4] == ["pam_faillock.so preauth", "pam_unix.so", "pam_faillock.so authfail", "pam_deny.so"]
    lines = in_root(play, "cat", "/etc/pam.d/common-password")
    password = re.findall(r"^password\s.*?(pam_\w+)\.so", lines, re.MULTILINE)
    assert password[:3] == ["pam_pwquality", "pam_pwhistory", "pam_unix"]
    score = subprocess.run(
        ["chroot", play.root, "pwscore"], input="password12\n", capture_output=True, text=True, check=False
    )
    assert score.returncode != 0


def test_what_audit_records_can_be_read_by_its_loader(play: Play) -> None:
    in_root(play, "augenrules")
    rules = in_root(play, "cat", "/etc/audit/audit.rules").splitlines()
    assert [rule for rule in rules if rule][-1] == "-e 2"
    for rule in rules:
        if rule.startswith("-w"):
            assert re.fullmatch(r"-w /\S+ -p [rwxa]+ -k [\w-]+", rule), rule
        elif rule.startswith("-a"):
            assert re.fullmatch(r"-a always,exit( -[FSC] \S+)+( -k [\w-]+)?", rule), rule


def test_the_firewall_sets_no_kernel_settings(play: Play) -> None:
    assert "IPT_SYSCTL=" in in_root(play, "cat", "/etc/default/ufw").splitlines()


def test_audit_and_jails_wait_for_an_owner(play: Play) -> None:
    for unit in ("auditd.service", "fail2ban.service"):
        assert in_root(play, "systemctl", "is-enabled", unit, status=1).strip() == "disabled"
    wants = in_root(play, "cat", "/etc/systemd/system/bpci-services.target.d/hardening.conf")
    assert "Wants=auditd.service fail2ban.service" in wants.splitlines()


def test_the_jails_settings_are_whole(play: Play) -> None:
    assert "OK: configuration test is successful" in in_root(play, "fail2ban-server", "-t")


def test_time_is_asked_of_servers_that_prove_who_they_are(play: Play) -> None:
    settings = in_root(play, "chronyd", "-p", "-f", "/etc/chrony/chrony.conf").splitlines()
    assert "authselectmode prefer" in settings
    servers = in_root(play, "cat", "/etc/chrony/sources.d/bpci-nts.sources").splitlines()
    assert all(re.fullmatch(r"server \S+ iburst nts", server) for server in servers)
