# ruff: noqa: E101 - what "iw" prints is indented by tabs
"""A machine in a directory: real files, a real node, and commands that leave the traces which the real ones leave."""

import asyncio
import base64
import json
import socket
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bpci_node.gateway.server import open_faces
from bpci_node.runtime.config import NodeConfig, parse
from bpci_node.runtime.node import Node
from bpci_node.setup.system import Finished, System

ADDRESS = "192.0.2.7"
GIGABYTE = 10**9
AIR = r"""BSS 02:00:00:00:01:00(on wlan0)
	freq: 2412
	capability: ESS Privacy ShortSlotTime (0x0411)
	signal: -71.00 dBm
	SSID: Attic
	RSN:	 * Version: 1
		 * Group cipher: CCMP
		 * Authentication suites: PSK SAE
		 * Capabilities: 16-PTKSA-RC (0x00cc)
BSS 02:00:00:00:01:01(on wlan0)
	capability: ESS Privacy ShortSlotTime (0x0411)
	signal: -42.00 dBm
	SSID: Attic
	RSN:	 * Version: 1
		 * Authentication suites: PSK
	WPS:	 * Version: 1.0
BSS 02:00:00:00:02:00(on wlan0) -- associated
	capability: ESS (0x0401)
	signal: -80.00 dBm
	SSID: Caf\xc3\xa9 guest
BSS 02:00:00:00:03:00(on wlan0)
	capability: ESS Privacy (0x0411)
	signal: -50.00 dBm
	SSID: company
	RSN:	 * Version: 1
		 * Authentication suites: IEEE 802.1X
BSS 02:00:00:00:04:00(on wlan0)
	capability: ESS Privacy (0x0411)
	signal: -30.00 dBm
	SSID: \x1b[2J
BSS 02:00:00:00:05:00(on wlan0)
	signal: -30.00 dBm
	SSID:
"""
"""What ``iw dev wlan0 scan`` prints."""


class SimulatedMachine:
    """A machine below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[tuple[tuple[str, ...], bytes]] = []
        self.failing: dict[str, str] = {}
        """First words of commands that fail, with what they say."""
        self.addresses = [ADDRESS]
        self.radio_addresses: list[str] = []
        self.radio_log: list[str] = []
        """What ``wpa_supplicant`` has said since its start; empty: it does not run."""
        self.has_creds = True
        self.progress = ["progress 10 boot partition", "progress 60 system", "data /target"]
        self.node: RunningNode | None = None
        self.port = _free_port()
        for name, text in {
            "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
            "etc/hosts": "127.0.0.1\tlocalhost\n",
            "usr/share/zoneinfo/UTC": "zone",
            "usr/share/zoneinfo/Europe/Berlin": "zone",
            "sys/class/net/eth0/carrier": "1\n",
            "sys/class/net/eth0/device/vendor": "0x8086\n",
            "sys/class/net/lo/carrier": "1\n",
            "proc/self/mountinfo": "",
        }.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        # The node's own directories must have paths short enough for a Unix socket.
        self.node_directory = root / "n"
        self.node_directory.mkdir()

    @property
    def system(self) -> System:
        return System(self.root, self.run, self.stream)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def run_options(self) -> dict[str, Any]:
        return {"api": self.url, "owner_socket": self.node_directory / "owner.sock", "address_seconds": 0.0}

    def add_radio(self) -> None:
        """Give it a Wi-Fi card that hears some networks."""
        radio = self.root / "sys/class/net/wlan0"
        for name in ("device", "wireless", "phy80211/rfkill0"):
            (radio / name).mkdir(parents=True)
        for name, text in {"operstate": "down", "phy80211/rfkill0/soft": "0", "phy80211/rfkill0/hard": "0"}.items():
            (radio / name).write_text(f"{text}\n")

    def join_radio(self, address: str) -> None:
        """Let the Wi-Fi card have found its network, which gives it this address."""
        (self.root / "sys/class/net/wlan0/operstate").write_text("up\n")
        self.radio_addresses = [address]

    def add_tpm(self) -> None:
        """Make it the appliance, with a TPM that can open its data."""
        for name, text in {
            "usr/share/bpci/appliance": "",
            "sys/class/tpm/tpm0/tpm_version_major": "2\n",
            "usr/lib/x86_64-linux-gnu/cryptsetup/libcryptsetup-token-systemd-tpm2.so": "",
        }.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)

    def boot_from_stick(self, *disks: tuple[str, str, int]) -> None:
        """Make it the appliance, booted from a USB stick ``sda``, with internal disks (name, model, gigabytes)."""
        (self.root / "usr/share/bpci").mkdir(parents=True, exist_ok=True)
        (self.root / "usr/share/bpci/appliance").touch()
        stick = self._disk("sda", "Stick", 32, "sys/devices/pci0/usb1/1-1/host6/block", removable=True)
        partition = stick / "sda2"
        partition.mkdir()
        (partition / "partition").write_text("2\n")
        (self.root / "sys/dev/block").mkdir(parents=True)
        (self.root / "sys/dev/block/8:2").symlink_to(partition)
        (self.root / "sys/class/block").mkdir(parents=True, exist_ok=True)
        (self.root / "proc/self/mountinfo").write_text("22 1 8:2 / / ro,relatime - ext4 /dev/sda2 ro\n")
        for name, model, gigabytes in disks:
            self._disk(name, model, gigabytes, f"sys/devices/pci0/{name}/block", removable=False)

    def _disk(self, name: str, model: str, gigabytes: int, where: str, *, removable: bool) -> Path:
        device = self.root / where / name
        for file, text in {
            "size": str(gigabytes * GIGABYTE // 512),
            "removable": str(int(removable)),
            "ro": "0",
            "queue/rotational": "0",
            "device/model": model,
        }.items():
            (device / file).parent.mkdir(parents=True, exist_ok=True)
            (device / file).write_text(text + "\n")
        link = self.root / "sys/block" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(device)
        return device

    def run(self, argv: Sequence[str], stdin: bytes) -> Finished:
        self.calls.append((tuple(argv), stdin))
        line = " ".join(argv)
        for words, said in self.failing.items():
            if line.startswith(words):
                return Finished(1, b"", said)
        act = getattr(self, "_" + argv[0].replace("-", "_"), None)
        result = act(argv, stdin) if act else None
        return result if isinstance(result, Finished) else Finished(0, b"", "")

    def stream(self, argv: Sequence[str], on_line: Any) -> Finished:
        self.calls.append((tuple(argv), b""))
        if "install-disk" in self.failing:
            return Finished(1, b"", self.failing["install-disk"])
        (self.root / "target").mkdir()
        for line in self.progress:
            on_line(line)
        return Finished(0, b"", "")

    def ran(self, *words: str) -> bool:
        """Tell whether a command was run that begins with these words."""
        return any(argv[: len(words)] == words for argv, _ in self.calls)

    def _ip(self, argv: Sequence[str], _stdin: bytes) -> Finished:
        if "route" in argv:
            rows: list[Any] = [{"gateway": "192.0.2.1"}] if self.addresses else []
        else:
            rows = [{"ifname": "lo", "addr_info": []}]
            for name, addresses in (("eth0", self.addresses), ("wlan0", self.radio_addresses)):
                info = [{"family": "inet", "local": item, "prefixlen": 24, "scope": "global"} for item in addresses]
                rows.append({"ifname": name, "addr_info": info})
        return Finished(0, json.dumps(rows).encode(), "")

    def _iw(self, _argv: Sequence[str], _stdin: bytes) -> Finished:
        return Finished(0, AIR.encode(), "")

    def _systemd_creds(self, argv: Sequence[str], stdin: bytes) -> Finished:
        if not self.has_creds:
            return Finished(127, b"", "systemd-creds: not found")
        name = next((word.removeprefix("--name=") for word in argv if word.startswith("--name=")), "")
        if argv[1] == "encrypt":
            return Finished(0, base64.b64encode(f"sealed {name} ".encode() + bytes(byte ^ 0x5A for byte in stdin)), "")
        if argv[1] == "decrypt":
            prefix = f"sealed {name} ".encode()
            data = base64.b64decode(stdin)
            if not data.startswith(prefix):
                return Finished(1, b"", "Embedded credential name does not match")
            return Finished(0, bytes(byte ^ 0x5A for byte in data[len(prefix) :]), "")
        return Finished(0, b"systemd 252", "")

    def _useradd(self, argv: Sequence[str], _stdin: bytes) -> None:
        home = argv[argv.index("--home-dir") + 1]
        with (self.root / "etc/passwd").open("a") as file:
            file.write(f"{argv[-1]}:x:1000:1000:Owner:{home}:/bin/bash\n")

    def _userdel(self, argv: Sequence[str], _stdin: bytes) -> None:
        lines = (self.root / "etc/passwd").read_text().splitlines(keepends=True)
        (self.root / "etc/passwd").write_text("".join(line for line in lines if not line.startswith(f"{argv[-1]}:")))

    def _journalctl(self, argv: Sequence[str], _stdin: bytes) -> Finished:
        lines = self.radio_log if "_SYSTEMD_INVOCATION_ID=4d72" in argv else []
        return Finished(0, "\n".join(lines).encode(), "")

    def _systemctl(self, argv: Sequence[str], _stdin: bytes) -> Finished | None:
        if argv[1] == "show":
            state = "active" if self.radio_log and argv[-1] == "wpa_supplicant@wlan0.service" else "inactive"
            return Finished(0, f"ActiveState={state}\nInvocationID=4d72\n".encode(), "")
        if argv[1:] == ("restart", "bpci-node.service"):
            self.stop()
            self.node = RunningNode(self._config())
        return None

    def _config(self) -> NodeConfig:
        """Return what set-up wrote, moved into this directory, with the keys that systemd hands over."""
        config = parse((self.root / "etc/bpci/node.toml").read_text(), source="node.toml")
        keys = {}
        drop_in = (self.root / "etc/systemd/system/bpci-node.service.d/credentials.conf").read_text()
        for line in drop_in.splitlines():
            kind, _, value = line.partition("=")
            if not kind.startswith("LoadCredential"):
                continue
            name, _, place = value.partition(":")
            seed = (self.root / place.lstrip("/")).read_bytes()
            if kind == "LoadCredentialEncrypted":
                seed = self._systemd_creds(("systemd-creds", "decrypt", f"--name={name}", "-", "-"), seed).output
            path = self.node_directory / name
            path.unlink(missing_ok=True)
            path.touch(0o600)
            path.write_bytes(seed)
            keys[name] = f"file:{path}"
        network_file = config.ledger.network_file
        if network_file is not None:
            network_file = self.root / str(network_file).lstrip("/")
        return replace(
            config,
            state_dir=self.node_directory / "state",
            api=replace(config.api, listen="127.0.0.1", port=self.port),
            owner=replace(config.owner, socket=self.node_directory / "owner.sock", group=""),
            ledger=replace(config.ledger, network_file=network_file),
            keys=replace(config.keys, node=keys["node-key"], registry=keys.get("registry-key")),
        )

    def stop(self) -> None:
        if self.node is not None:
            self.node.stop()
            self.node = None


class RunningNode:
    """A real node in a thread of its own."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        self._ready.wait(20)
        if self._error is not None:
            raise self._error

    async def _main(self) -> None:
        try:
            self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
            node = Node(self._config)
            faces = await open_faces(node)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error
            self._ready.set()
            return
        self._ready.set()
        await self._stopping.wait()
        await faces.close(1)
        await node.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
