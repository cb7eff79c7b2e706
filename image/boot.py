"""``make boot``: boot the built image, to the wizard on a terminal, or unattended all the way to a verified bundle.

Attached to a terminal without ``--answers``, the machine's serial console is this terminal. Otherwise the wizard is
driven by an answers file on a volume beside the disk; then the node is looked at from outside, real transactions are
replayed to it, a bundle is sealed by its owner and verified here, the node is killed, and the machine switched off once
it serves again.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from image.qemu import Hardware, Machine, acceleration, free_port, overlay, volume
from image.terminal import MachineError

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "build" / "boot"
BPCI = ROOT / ".venv" / "bin" / "bpci"
BLOCKS = sorted((ROOT / "data" / "mainnet").glob("*.json.gz"))
DEVELOPMENT_ANSWERS = ROOT / "image" / "answers.dev.toml"
SETUP_SECONDS = 1500
"""How long booting and setting up may take, under emulation on a busy machine."""


def main() -> int:
    """Run ``make boot``; the exit status is 0 when everything that was asked for was seen."""
    parser = argparse.ArgumentParser(prog="make boot", description=__doc__)
    parser.add_argument("--target", default="debian-12")
    parser.add_argument("--answers", type=Path, help="answers file; without a terminal a development one is used")
    options = parser.parse_args()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    disk = overlay(built_image(options.target), DIRECTORY / "disk.qcow2", size="16G")
    if options.answers is None and sys.stdin.isatty() and sys.stdout.isatty():
        return interactive(disk)
    try:
        figures = unattended(disk, options.answers or DEVELOPMENT_ANSWERS)
    except (MachineError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        print(f"hint: the console log is {DIRECTORY / 'console.log'}", file=sys.stderr)
        return 1
    figures = {"v": 1, "accelerator": acceleration()[1].split(",")[0]} | figures
    built_image(options.target).with_suffix(".boot.json").write_text(json.dumps(figures, indent=2) + "\n")
    _say("done")
    return 0


def built_image(target: str) -> Path:
    """Return the qcow2 that ``make image`` made.

    Raises:
        SystemExit: there is none, or more than one.
    """
    found = sorted((ROOT / "build" / "image" / "out").glob(f"bpci-os-{target}-*.qcow2"))
    if len(found) != 1:
        raise SystemExit(f"error: {len(found)} images for {target} in build/image/out\nhint: make image")
    return found[0]


def interactive(disk: Path) -> int:
    """Give the terminal to the machine's serial console until it is switched off."""
    machine = Machine(DIRECTORY, [disk], Hardware())
    machine.ports = {22: free_port(2222), 8545: free_port(8545)}
    print(
        f"The machine's console is this terminal (best at 80×24); the wizard appears in about a minute.\n"
        f"Leave QEMU: Ctrl-A, then X.   After set-up: ssh -p {machine.ports[22]} owner@127.0.0.1   "
        f"http://127.0.0.1:{machine.ports[8545]}/v1/status",
        flush=True,
    )
    machine.start(attach=True)
    return machine.wait()


def unattended(disk: Path, answers: Path) -> dict[str, Any]:
    """Go through set-up with answers, replay, seal, verify, and switch the machine off.

    Returns:
        ``seconds`` from power-on to the beginning of set-up, from there to its end, and to the first bundle, and from
        the node's violent end until it serves again; ``listening``: what others may reach, where the firewall lets it.
    """
    key = DIRECTORY / "owner-key"
    contents = complete(tomllib.loads(answers.read_text()), key, DIRECTORY)
    medium = volume(DIRECTORY / "answers.img", "BPCI-SETUP", {"bpci/answers.toml": tomli_w.dumps(contents).encode()})
    machine = Machine(DIRECTORY, [disk, medium], Hardware())
    _say("booting; the console log is build/boot/console.log")
    with machine.running():
        begun, done = _wait_for_setup(machine)
        ended = time.monotonic()
        _say(f"set up after {ended - machine.started:.0f} s")
        for name, value in done.items():
            print(f"    {name}: {value if isinstance(value, str) else json.dumps(value)}")
        url = f"http://127.0.0.1:{machine.ports[8545]}"
        owner = contents["owner"].get("name", "owner")
        machine.wait_for_ssh(user=owner, key=key)
        _say("waiting until the machine's services have started")
        machine.ssh("systemctl is-system-running --wait", user=owner, key=key, timeout=900)
        _say(f"replaying {len(BLOCKS)} blocks of real transactions to {url}")
        # An emulated machine may take longer over a full batch than a client waits.
        replay = _bpci("mempool", "replay", *map(str, BLOCKS), "--node", url, "--batch", "16", "--json")
        print(f"    {json.dumps(replay)}")
        _seal_and_verify(machine, owner, key, done)
        sealed = time.monotonic()
        _say("killing the node")
        recovery = _recovery(machine, owner, key)
        listening = _listening(machine, owner, key)
        _say("switching off")
        machine.power_off()
    moments = {
        "power_on_to_set_up": begun - machine.started,
        "set_up": ended - begun,
        "set_up_to_bundle": sealed - begun,
    }
    seconds = {name: round(value, 1) for name, value in moments.items()}
    return {"seconds": seconds | {"recovery": recovery}, "listening": listening}


def _recovery(machine: Machine, owner: str, key: Path) -> float | None:
    """Kill the node and return how long it was away in seconds, by the service manager's clock.

    Root alone may kill it: ``None`` if the owner's password is not known here.
    """
    password = DIRECTORY / "owner-password"
    if not password.exists():
        return None
    again = "sleep 2; until systemctl is-active --quiet bpci-node.service; do sleep 1; done"
    killed = machine.ssh(
        f"sudo -k -S -p '' sh -c 'systemctl kill --signal=KILL bpci-node.service; {again}'",
        user=owner,
        key=key,
        stdin=password.read_bytes(),
    )
    names = "ActiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic"
    shown = machine.ssh(f"systemctl show --property={names} bpci-node.service", user=owner, key=key).stdout.decode()
    moments = {name: int(value) for name, value in (line.split("=") for line in shown.split())}
    away_us = moments["ActiveEnterTimestampMonotonic"] - moments["ActiveExitTimestampMonotonic"]
    if killed.returncode or away_us <= 0:
        raise MachineError(f"the node was not killed, or does not serve again: {killed.stderr.decode()} {moments}")
    return round(away_us / 1e6, 1)


def _listening(machine: Machine, owner: str, key: Path) -> list[str]:
    """Return what listens for others than the machine itself, such as ``tcp/22``."""
    found = set()
    for line in machine.ssh("ss -Hltun", user=owner, key=key).stdout.decode().splitlines():
        kind, _, _, _, address, *_ = line.split()
        host, port = address.rsplit(":", 1)
        if not host.startswith(("127.", "[::1]")):
            found.add(f"{kind}/{port}")
    return sorted(found)


def _seal_and_verify(machine: Machine, owner: str, key: Path, done: dict[str, Any]) -> None:
    bundle = DIRECTORY / "bundle.cbor"
    sealed = machine.ssh("bpci mempool seal --target eip155:1 --out -", user=owner, key=key)
    if sealed.returncode:
        raise MachineError(f"sealing failed: {sealed.stderr.decode(errors='replace')}")
    bundle.write_bytes(sealed.stdout)
    _say(f"sealed a bundle of {len(sealed.stdout)} bytes: build/boot/bundle.cbor")
    verified = _bpci("bundle", "verify", str(bundle), "--signer", done["did"], "--json")
    _say("verified outside the machine")
    print(f"    {json.dumps(verified)}")


def _wait_for_setup(machine: Machine) -> tuple[float, dict[str, Any]]:
    """Return when set-up began, by the monotonic clock, and what it said at its end."""
    console = machine.console
    steps: list[str] = []
    begun = 0.0

    def ended() -> re.Match[str] | None:
        nonlocal begun
        said = console.said()
        for line in re.findall(r"^\[setup\] (.*?)\r?$", said, re.MULTILINE)[len(steps) :]:
            begun = begun or time.monotonic()
            steps.append(line)
            print(f"    {line}", flush=True)
        return re.search(r"BPCI-SETUP-(DONE|FAILED) (\{.*\})\r?\n", said)

    match = console.wait_until(ended, "the end of set-up", SETUP_SECONDS)
    result: dict[str, Any] = json.loads(match[2])
    if match[1] == "FAILED":
        raise MachineError(f"set-up failed: {result.get('message')} ({result.get('hint', 'no hint')})")
    return begun, result


def complete(answers: dict[str, Any], key: Path, directory: Path) -> dict[str, Any]:
    """Add a key made for this run, which opens the owner's session, and a password if none is there."""
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "make-boot", "-f", str(key)], check=True)
    owner = answers.setdefault("owner", {})
    owner["ssh_keys"] = [*owner.get("ssh_keys", []), key.with_suffix(".pub").read_text().strip()]
    if not {"password", "password_hash"} & owner.keys():
        password = secrets.token_urlsafe(15)
        file = directory / "owner-password"
        file.touch(mode=0o600)
        file.write_text(password + "\n")
        command = ["openssl", "passwd", "-6", "-stdin"]
        hashed = subprocess.run(command, input=password, capture_output=True, text=True, check=True)
        owner["password_hash"] = hashed.stdout.strip()
    return answers


def _bpci(*arguments: str) -> dict[str, Any]:
    result = subprocess.run([BPCI, *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise MachineError(
            f"bpci {' '.join(arguments[:2])} ended with {result.returncode}: {result.stderr}{result.stdout}"
        )
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def _say(text: str) -> None:
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
