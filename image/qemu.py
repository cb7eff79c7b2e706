"""A machine in QEMU as a person would have it on the desk: disks, firmware, a serial console, keys, a power switch.

Used by ``make boot`` and by the infra tests. Each machine has its own directory with its disk overlays, firmware
variables, sockets and console log; the image itself is never written.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image.console import Console
from image.terminal import MachineError

OVMF = Path("/usr/share/OVMF")
SSH_RETRY_SECONDS = 7
"""Pause between tries: the machine's firewall shuts out who comes six times within 30 seconds."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the machine is made of."""

    cpus: int = 2
    memory_mib: int = 2048
    disk_bus: str = "virtio"
    """virtio | ahci | nvme | usb: where the first disk hangs."""
    network: str = "virtio-net-pci"
    usb_keyboard: bool = False
    secure_boot: bool = False
    display: bool = False
    """A VGA adapter, whose screen can be photographed."""
    tpm: bool = False
    """A TPM 2.0 (swtpm), whose secrets outlive the power in the machine's directory."""
    clock: str = ""
    """What the machine's own clock says when it is switched on, such as ``2019-03-01T00:00:00``; empty for the time."""


@dataclass(slots=True)
class Machine:
    """One machine; use as ``with machine.running(): ...`` or call :meth:`start` and :meth:`kill`."""

    directory: Path
    disks: Sequence[Path]
    """Disk files, the first is booted; qcow2 by suffix ``.qcow2``, raw otherwise. They are written to."""
    hardware: Hardware = field(default_factory=Hardware)
    guest_ports: Sequence[int] = (22, 8545)
    """TCP ports of the guest that are forwarded from loopback ports chosen at start."""
    ports: dict[int, int] = field(default_factory=dict)
    """Guest port to loopback port, filled at start."""
    console: Console = field(init=False)
    started: float = 0.0
    _tpm: subprocess.Popen[bytes] | None = None
    _process: subprocess.Popen[bytes] | None = None
    _qmp: Qmp | None = None

    def start(self, *, attach: bool = False) -> None:
        """Switch the machine on.

        Args:
            attach: the serial console is this terminal (then :attr:`console` is not there).
        Raises:
            MachineError: QEMU did not start.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.ports = self.ports or {port: free_port() for port in self.guest_ports}
        qmp, serial = self.directory / "qmp.sock", self.directory / "serial.sock"
        for path in (qmp, serial):
            path.unlink(missing_ok=True)
        command = self._command(qmp, None if attach else serial)
        if self.hardware.tpm:
            command += self._start_tpm()
        self.started = time.monotonic()
        if attach:
            self._process = subprocess.Popen(command)
            return
        errors = (self.directory / "qemu.log").open("ab")
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        errors.close()
        self.console = Console(self._connect(serial), (self.directory / "console.log").open("ab"))
        self._qmp = Qmp(self._connect(qmp))

    @contextmanager
    def running(self) -> Iterator[Machine]:
        """Switch on, and off at the end whatever happens."""
        self.start()
        try:
            yield self
        finally:
            self.kill()

    def wait(self) -> int:
        """Wait until the machine is off, and return QEMU's exit status."""
        return self._running().wait()

    def kill(self) -> None:
        """Cut the power: nothing is told to the guest, nothing of it is flushed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._close()

    def power_off(self, timeout: float = 400) -> None:
        """Press the power button and wait until the machine is off.

        Raises:
            MachineError: it is still on after ``timeout`` seconds.
        """
        self.qmp("system_powerdown")
        self.wait_off(timeout)

    def wait_off(self, timeout: float) -> None:
        """Wait until the machine has switched itself off.

        Raises:
            MachineError: it is still on after ``timeout`` seconds.
        """
        try:
            self._running().wait(timeout)
        except subprocess.TimeoutExpired:
            raise MachineError(f"still on after {timeout:.0f} s\n{self.console.text()}") from None
        self._close()

    def plug(self, *, plugged: bool = True) -> None:
        """Put the network cable in, or pull it out."""
        self.qmp("set_link", name="net0", up=plugged)

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Carry out a command of QEMU's machine protocol and return its result."""
        if self._qmp is None:
            raise MachineError("the machine is off")
        return self._qmp.execute(command, **arguments)

    def press(self, *keys: str) -> None:
        """Press keys on the machine's keyboard (not the serial line); names are QEMU's, such as ``ret`` and ``a``."""
        for key in keys:
            chord = [{"type": "qcode", "data": part} for part in key.split("+")]
            self.qmp("send-key", keys=chord)
            time.sleep(0.2)

    def photograph(self, file: Path) -> None:
        """Write what the display shows as a PNG (needs ``Hardware.display``)."""
        self.qmp("screendump", filename=str(file), format="png")

    def ssh(
        self, command: str, *, user: str = "owner", key: Path, timeout: float = 300, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the guest; exit status 255 means that no connection came about."""
        # One connection carries all commands: the machine's firewall allows a few new ones a minute.
        shared = ["-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", f"ControlPath={self.directory}/ssh-%r"]
        arguments = ["ssh", *ssh_options(key), *shared, "-p", str(self.ports[22]), f"{user}@127.0.0.1", command]
        return subprocess.run(arguments, input=stdin, capture_output=True, timeout=timeout, check=False)

    def wait_for_ssh(self, *, user: str = "owner", key: Path, timeout: float = 600) -> None:
        """Wait until a command can be run in the guest.

        Raises:
            MachineError: not within ``timeout`` seconds; with what ssh said last.
        """
        deadline = time.monotonic() + timeout
        while True:
            result = self.ssh("true", user=user, key=key, timeout=120)
            if result.returncode == 0:
                return
            if time.monotonic() > deadline:
                raise MachineError(f"no ssh after {timeout:.0f} s: {result.stderr.decode(errors='replace')}")
            time.sleep(SSH_RETRY_SECONDS)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise MachineError("the machine is off")
        return self._process

    def _close(self) -> None:
        if self._qmp is not None:
            self._qmp.close()
            self.console.close()
            self._qmp = None
        if self._tpm is not None:
            # It ends by itself when QEMU lets go of it, after what it keeps is written.
            with suppress(subprocess.TimeoutExpired):
                self._tpm.wait(30)
            self._tpm.kill()
            self._tpm = None

    def _command(self, qmp: Path, serial: Path | None) -> list[str]:
        hardware = self.hardware
        command = ["qemu-system-x86_64", "-name", self.directory.name, "-nodefaults", "-smp", str(hardware.cpus)]
        command += ["-m", str(hardware.memory_mib), *acceleration(), *self._firmware()]
        command += ["-device", "virtio-rng-pci", "-device", "qemu-xhci"]
        if hardware.clock:
            command += ["-rtc", f"base={hardware.clock}"]
        command += ["-vga", "std", "-display", "none"] if hardware.display else ["-display", "none"]
        if hardware.usb_keyboard:
            command += ["-device", "usb-kbd"]
        for number, disk in enumerate(self.disks):
            command += _drive(number, disk, hardware.disk_bus if number == 0 else "virtio")
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{guest}" for guest, host in self.ports.items())
        command += ["-netdev", f"user,id=net0{forwards}", "-device", f"{hardware.network},netdev=net0"]
        command += ["-qmp", f"unix:{qmp},server=on,wait=off"]
        if serial is None:
            command += ["-serial", "mon:stdio"]
        else:
            # A restart ends QEMU, and whoever asked for it starts it again: after a reset under emulation the firmware
            # hangs now and then.
            command += ["-no-reboot"]
            command += ["-chardev", f"socket,id=serial0,path={serial},server=on,wait=on", "-serial", "chardev:serial0"]
        return command

    def _start_tpm(self) -> list[str]:
        state, line = self.directory / "tpm", self.directory / "tpm.sock"
        state.mkdir(exist_ok=True)
        command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--ctrl", f"type=unixio,path={line}"]
        self._tpm = subprocess.Popen([*command, "--terminate"], stdin=subprocess.DEVNULL)
        for _ in range(100):
            if line.exists() or self._tpm.poll() is not None:
                break
            time.sleep(0.1)
        device = ["-tpmdev", "emulator,id=tpm0,chardev=tpm0", "-device", "tpm-crb,tpmdev=tpm0"]
        return ["-chardev", f"socket,id=tpm0,path={line}", *device]

    def _firmware(self) -> list[str]:
        if not self.hardware.secure_boot:
            return ["-machine", "q35", "-bios", "/usr/share/ovmf/OVMF.fd"]
        variables = self.directory / "OVMF_VARS.fd"
        if not variables.exists():
            shutil.copy(OVMF / "OVMF_VARS_4M.ms.fd", variables)
        return [
            *("-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"),
            *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF / 'OVMF_CODE_4M.ms.fd'}"),
            *("-drive", f"if=pflash,unit=1,format=raw,file={variables}"),
        ]

    def _connect(self, path: Path) -> socket.socket:
        process = self._running()
        for _ in range(300):
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(path))
            except OSError:
                connection.close()
            else:
                return connection
            if process.poll() is not None:
                break
            time.sleep(0.1)
        raise MachineError("QEMU did not start:\n" + (self.directory / "qemu.log").read_text(errors="replace")[-2000:])


class Qmp:
    """QEMU's machine protocol, synchronously."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rwb")
        self._connection = connection
        self._file.readline()
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> Any:
        """Carry out one command.

        Raises:
            MachineError: QEMU refused it.
        """
        self._file.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self._file.flush()
        while True:
            line = self._file.readline()
            if not line:
                raise MachineError(f"QEMU ended during {command}")
            answer = json.loads(line)
            if "error" in answer:
                raise MachineError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def close(self) -> None:
        """Let go of the connection."""
        self._file.close()
        self._connection.close()


def acceleration() -> list[str]:
    """Return the accelerator arguments: KVM where a guest really runs under it, emulation otherwise."""
    probe = subprocess.run([Path(__file__).parent / "accel.sh"], capture_output=True, text=True, check=True)
    if probe.stdout.strip() == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    # One host thread for all processors: with one each, kernels now and then lock up on a busy host (soft lockup in
    # modprobe, firmware that hangs after a reset), and the gain is small.
    # Without "fast" string instructions: emulated, they clear memory byte by byte, a quarter of the time to /init.
    return ["-accel", "tcg,thread=single", "-cpu", "max,-erms,-fsrm"]


def overlay(base: Path, file: Path, *, size: str | None = None) -> Path:
    """Make ``file`` a qcow2 disk that starts as ``base`` and keeps its own changes; return it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    kind = "qcow2" if base.suffix == ".qcow2" else "raw"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", str(base.resolve()), str(file)]
    subprocess.run([*command, *([size] if size else [])], check=True)
    return file


def volume(file: Path, label: str, files: dict[str, bytes]) -> Path:
    """Make ``file`` a small FAT volume with this label and these files (paths with ``/``); return it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    subprocess.run(["mkfs.vfat", "-C", "-n", label, str(file), "4096"], check=True, stdout=subprocess.DEVNULL)
    for name, content in files.items():
        *folders, _ = name.split("/")
        for depth in range(len(folders)):
            subprocess.run(["mmd", "-D", "s", "-i", str(file), "::" + "/".join(folders[: depth + 1])], check=True)
        subprocess.run(["mcopy", "-o", "-i", str(file), "-", f"::{name}"], input=content, check=True)
    return file


def ssh_options(key: Path) -> list[str]:
    """Return the options for a machine that is known by nothing but its port, with this key and no other."""
    options = {
        "BatchMode": "yes",
        # Who hangs up before a slow machine has answered counts as an attacker there, and is shut out after five times.
        "ConnectTimeout": "60",
        "IdentitiesOnly": "yes",
        "LogLevel": "ERROR",
        "ServerAliveCountMax": "3",
        "ServerAliveInterval": "10",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
    }
    return [
        "-F",
        os.devnull,
        "-i",
        str(key),
        *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
    ]


def free_port(preferred: int = 0) -> int:
    """Return a loopback TCP port that nothing listens on: the preferred one if it is free."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _drive(number: int, file: Path, bus: str) -> list[str]:
    kind = "qcow2" if file.suffix == ".qcow2" else "raw"
    drive = ["-drive", f"if=none,id=disk{number},format={kind},file={file},discard=unmap"]
    device = {
        "virtio": f"virtio-blk-pci,drive=disk{number},serial=bpci{number}",
        "ahci": f"ide-hd,drive=disk{number},bus=ide.{number},serial=bpci{number}",
        "nvme": f"nvme,drive=disk{number},serial=bpci{number}",
        "usb": f"usb-storage,drive=disk{number},removable=on,serial=bpci{number}",
    }[bus]
    return [*drive, "-device", f"{device},bootindex={number}"]
