"""Recorded machines: small trees of /sys and /proc as the kernel shows them, written anew for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bpci_node.host.context import Context
from bpci_node.host.kernel_clock import KernelClock

GIB = 1 << 30
MIB = 1 << 20

X86 = "fpu sse2 ssse3 sse4_1 sse4_2 pclmulqdq aes avx avx2 bmi2 sha_ni"
ARM = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics cpuid"


class Tree:
    """One machine's files, made step by step."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._mounts: list[str] = []
        self.machine = "x86_64"
        self.synchronized = True
        self.usable_bytes = 450 * 10**9
        (root / "var/lib/bpci/node").mkdir(parents=True)

    def write(self, name: str, content: str | bytes | int) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
        return path

    def link(self, name: str, target: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        depth = len(Path(name).parts) - 1
        path.symlink_to("../" * depth + target)

    # Processors and memory

    def processors(self, count: int, *, threads: int = 1, features: str = X86, label: str = "flags") -> None:
        self.write("sys/devices/system/cpu/online", f"0-{count - 1}")
        self.write(
            "proc/self/status",
            f"Name:\tbpci\nCpus_allowed:\tff\nCpus_allowed_list:\t0-{count - 1}\nMems_allowed_list:\t0",
        )
        self.write("proc/cpuinfo", "\n\n".join(f"processor\t: {n}\n{label}\t: {features}" for n in range(count)))
        for number in range(count):
            first = number - number % threads
            siblings = f"{first}-{first + threads - 1}" if threads > 1 else str(number)
            self.write(f"sys/devices/system/cpu/cpu{number}/topology/core_cpus_list", siblings)

    def memory(self, total_bytes: int, *, blocks: int = 0, modules: tuple[int, ...] = ()) -> None:
        self.write("proc/meminfo", f"MemTotal: {total_bytes // 1024:>14} kB\nMemFree:  1024 kB")
        if blocks:
            self.write("sys/devices/system/memory/block_size_bytes", f"{128 * MIB:x}")
        for number in range(blocks):
            self.write(f"sys/devices/system/memory/memory{number}/online", 1)
        if modules:
            table = b"".join(memory_device(size // MIB) for size in modules)
            self.write("sys/firmware/dmi/tables/DMI", table + bytes([127, 4, 0, 0, 0, 0]))

    # Disks

    def disk(
        self,
        name: str,
        number: str,
        way: str,
        size_bytes: int,
        *,
        rotational: int = 0,
        vendor: str = "",
        model: str = "",
        removable: int = 0,
    ) -> str:
        base = f"sys/devices/{way}/{name}"
        self.write(f"{base}/size", size_bytes // 512)
        self.write(f"{base}/queue/rotational", rotational)
        self.write(f"{base}/removable", removable)
        self.write(f"{base}/ro", 0)
        if vendor:
            self.write(f"{base}/device/vendor", vendor.ljust(8))
        if model:
            self.write(f"{base}/device/model", model.ljust(16))
        self._node(name, number, base, whole=True)
        return base

    def partition(self, disk: str, name: str, number: str, size_bytes: int) -> str:
        self.write(f"{disk}/{name}/partition", 1)
        self.write(f"{disk}/{name}/size", size_bytes // 512)
        self._node(name, number, f"{disk}/{name}", whole=False)
        return f"{disk}/{name}"

    def layer(self, name: str, number: str, size_bytes: int, below: list[str]) -> str:
        base = self.disk(name, number, "virtual/block", size_bytes, rotational=1)
        for item in below:
            self.link(f"{base}/slaves/{Path(item).name}", item)
        return base

    def volume(
        self, name: str, number: str, size_bytes: int, below: list[str], *, title: str, uuid: str = "LVM-x"
    ) -> str:
        base = self.layer(name, number, size_bytes, below)
        self.write(f"{base}/dm/name", title)
        self.write(f"{base}/dm/uuid", uuid)
        return base

    def _node(self, name: str, number: str, base: str, *, whole: bool) -> None:
        self.link(f"sys/dev/block/{number}", base)
        self.link(f"sys/class/block/{name}", base)
        if whole:
            self.link(f"sys/block/{name}", base)

    def mount(self, number: str, point: str, kind: str, source: str, options: str = "rw") -> None:
        self._mounts.append(
            f"{len(self._mounts) + 20} 1 {number} / {point} rw,relatime shared:1 - {kind} {source} {options}"
        )
        self.write("proc/self/mountinfo", "\n".join(self._mounts))

    # Network

    def interface(
        self,
        name: str,
        *,
        driver: str = "",
        way: str = "virtual/net",
        speed: int | None = None,
        carrier: int = 1,
        wifi: bool = False,
    ) -> None:
        base = f"sys/devices/{way}/{name}"
        self.write(f"{base}/type", 772 if name == "lo" else 1)
        self.write(f"{base}/carrier", carrier)
        if speed is not None:
            self.write(f"{base}/speed", speed)
            self.write(f"{base}/duplex", "full")
        if wifi:
            self.write(f"{base}/wireless/status", "")
        if driver:
            self.write(f"sys/bus/drivers/{driver}/module", "")
            self.link(f"{base}/device/driver", f"sys/bus/drivers/{driver}")
        self.link(f"sys/class/net/{name}", base)

    def route(self, *names: str) -> None:
        head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT"
        lines = [
            f"{name}\t00000000\t0101A8C0\t0003\t0\t0\t{100 + i}\t00000000\t0\t0\t0" for i, name in enumerate(names)
        ]
        lines += [f"{name}\t0001A8C0\t00000000\t0001\t0\t0\t1\t00FFFFFF\t0\t0\t0" for name in names]
        self.write("proc/net/route", "\n".join([head, *lines]))

    # Trust

    def secure_boot(self, *, on: bool, setup: bool = False) -> None:
        for name, value in (("SecureBoot", on), ("SetupMode", setup)):
            variable = f"sys/firmware/efi/efivars/{name}-8be4df61-93ca-11d2-aa0d-00e098032b8c"
            self.write(variable, bytes([6, 0, 0, 0, int(value)]))

    def tpm(self, major: str) -> None:
        self.write("sys/class/tpm/tpm0/tpm_version_major", major)

    def context(self, *, disk: str | None = None) -> Context:
        return Context(
            root=self.root,
            disk=disk,
            machine=self.machine,
            kernel_clock=lambda: KernelClock(self.synchronized, 5_000 if self.synchronized else 16_000_000),
            capacity=lambda _directory: self.usable_bytes,
        )


def memory_device(mebibytes: int, *, technology: int | None = 3) -> bytes:
    """Return an SMBIOS structure of type 17 with its strings."""
    length = 0x54 if technology is not None else 0x1B
    body = bytearray(length)
    body[0:4] = bytes([17, length, 0x11, 0])
    if mebibytes < 0x7FFF:
        body[0x0C:0x0E] = mebibytes.to_bytes(2, "little")
    else:
        body[0x0C:0x0E] = b"\xff\x7f"
        body[0x1C:0x20] = mebibytes.to_bytes(4, "little")
    if technology is not None:
        body[0x28] = technology
    return bytes(body) + b"DIMM 0\0\0"


def mini_pc(tree: Tree) -> Tree:
    """A mini-PC sold as "8 GB, 512 GB": the graphics takes memory, NVMe, Realtek network, TPM, Secure Boot."""
    tree.processors(8, threads=2)
    tree.memory(8_020_000 * 1024, blocks=60, modules=(8 * GIB,))
    nvme = tree.disk(
        "nvme0n1", "259:0", "pci0000:00/0000:00:1d.0/0000:01:00.0/nvme/nvme0", 512_110_190_592, model="KINGSTON OM8PGP4"
    )
    tree.partition(nvme, "nvme0n1p4", "259:4", 500_000_000_000)
    tree.mount("259:2", "/", "ext4", "/dev/nvme0n1p2")
    tree.mount("259:4", "/data", "ext4", "/dev/nvme0n1p4")
    tree.mount("259:4", "/var/lib/bpci", "ext4", "/dev/nvme0n1p4")
    tree.interface("lo")
    tree.interface("enp2s0", driver="r8169", way="pci0000:00/0000:00:1c.0/0000:02:00.0/net", speed=1000)
    tree.interface("wlo1", driver="iwlwifi", way="pci0000:00/0000:00:14.3/net", carrier=0, wifi=True)
    tree.route("enp2s0")
    tree.tpm("2")
    tree.secure_boot(on=True)
    return tree


def virtual_machine(tree: Tree) -> Tree:
    """A QEMU guest: 2 processors, 2 GiB, virtio disk of 16 GiB that calls itself rotating, virtio network."""
    tree.processors(2)
    tree.memory(2_010_000 * 1024, blocks=16, modules=(2 * GIB,))
    disk = tree.disk("vda", "254:0", "pci0000:00/0000:00:05.0/virtio2/block", 16 * GIB, rotational=1, vendor="0x1af4")
    tree.partition(disk, "vda4", "254:4", 7 * GIB)
    tree.mount("254:2", "/", "ext4", "/dev/vda2")
    tree.mount("254:4", "/var/lib/bpci", "ext4", "/dev/vda4")
    tree.interface("lo")
    tree.interface("ens3", driver="virtio_net", way="pci0000:00/0000:00:03.0/virtio0/net", speed=-1)
    tree.route("ens3")
    tree.usable_bytes = 6 * 10**9
    return tree


def lvm_server(tree: Tree) -> Tree:
    """A server with a logical volume over two SATA SSDs, one of them behind encryption; a bond of two ports."""
    tree.processors(16, threads=2)
    tree.memory(32_700_000 * 1024, blocks=256, modules=(16 * GIB, 16 * GIB))
    way = "pci0000:00/0000:00:17.0/ata{0}/host{0}/target{0}:0:0/{0}:0:0:0/block"
    first = tree.disk("sda", "8:0", way.format(1), 480_103_981_056, vendor="ATA", model="Samsung SSD 870")
    second = tree.disk("sdb", "8:16", way.format(2), 480_103_981_056, vendor="ATA", model="Samsung SSD 870")
    part = tree.partition(first, "sda3", "8:3", 470 * 10**9)
    crypt = tree.volume("dm-0", "253:0", 480 * 10**9, [second], title="luks-b", uuid="CRYPT-LUKS2-x")
    tree.volume("dm-1", "253:1", 900 * 10**9, [part, crypt], title="vg-data")
    tree.mount("253:1", "/", "xfs", "/dev/mapper/vg-data")
    tree.interface("lo")
    for port in ("eno1", "eno2"):
        tree.interface(port, driver="igb", way="pci0000:00/0000:00:1f.6/net", speed=1000)
    tree.interface("bond0", speed=2000)
    for port in ("eno1", "eno2"):
        tree.link(f"sys/devices/virtual/net/bond0/lower_{port}", f"sys/class/net/{port}")
    tree.route("bond0", "eno1")
    tree.tpm("2")
    tree.secure_boot(on=False)
    return tree


def mirrored(tree: Tree) -> Tree:
    """Two rotating disks of 1 TB mirrored by md."""
    tree.processors(8)
    tree.memory(16_200_000 * 1024)
    way = "pci0000:00/0000:00:17.0/ata{0}/host{0}/target{0}:0:0/{0}:0:0:0/block"
    parts = []
    for index, name in enumerate(("sda", "sdb")):
        disk = tree.disk(
            name,
            f"8:{index * 16}",
            way.format(index + 1),
            1_000_204_886_016,
            rotational=1,
            vendor="ATA",
            model="WDC WD10EZEX",
        )
        parts.append(tree.partition(disk, f"{name}1", f"8:{index * 16 + 1}", 10**12))
    array = tree.layer("md0", "9:0", 999 * 10**9, parts)
    tree.write(f"{array}/md/level", "raid1")
    tree.mount("9:0", "/", "ext4", "/dev/md0")
    return tree


def stick(tree: Tree) -> Tree:
    """Booted from a USB stick, with a rotating disk and an empty card reader inside."""
    tree.processors(8)
    tree.memory(16_200_000 * 1024, modules=(16 * GIB,))
    usb = "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host4/target4:0:0/4:0:0:0/block"
    disk = tree.disk(
        "sdb", "8:16", usb, 62_109_253_632, rotational=1, vendor="SanDisk", model="Ultra\x1b[31m", removable=1
    )
    tree.partition(disk, "sdb4", "8:20", 50 * 10**9)
    sata = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block"
    tree.disk("sda", "8:0", sata, 2_000_398_934_016, rotational=1, vendor="ATA", model="ST2000DM008")
    tree.disk(
        "sdc", "8:32", usb.replace("1-2", "1-3"), 0, rotational=1, vendor="Generic", model="Card Reader", removable=1
    )
    tree.disk("sr0", "11:0", sata, 700 * 10**6)
    tree.disk("loop0", "7:0", "virtual/block", 0)
    tree.disk("zram0", "252:0", "virtual/block", 4 * GIB)
    tree.mount("8:18", "/", "ext4", "/dev/sdb2")
    tree.mount("8:20", "/var/lib/bpci", "ext4", "/dev/sdb4")
    tree.interface("lo")
    tree.interface("wlan0", driver="iwlwifi", way="pci0000:00/0000:00:14.3/net", wifi=True)
    tree.route("wlan0")
    return tree


def arm_board(tree: Tree) -> Tree:
    """An ARM board with an eMMC: no UEFI, no firmware tables, no TPM."""
    tree.machine = "aarch64"
    tree.processors(4, features=ARM, label="Features")
    tree.memory(8_245_000 * 1024, blocks=63)
    disk = tree.disk(
        "mmcblk0", "179:0", "platform/emmc2bus/fe340000.mmc/mmc_host/mmc0/mmc0:0001/block", 64 * 10**9, model=""
    )
    tree.disk("mmcblk0boot0", "179:32", "platform/emmc2bus/fe340000.mmc/mmc_host/mmc0/mmc0:0001/block", 4 * MIB)
    tree.partition(disk, "mmcblk0p2", "179:2", 60 * 10**9)
    tree.mount("179:2", "/", "ext4", "/dev/mmcblk0p2")
    tree.interface("lo")
    tree.interface("eth0", driver="bcmgenet", way="platform/scb/fd580000.ethernet/net", speed=1000)
    tree.route("eth0")
    return tree


MACHINES: dict[str, Callable[[Tree], Tree]] = {
    "mini_pc": mini_pc,
    "virtual_machine": virtual_machine,
    "lvm_server": lvm_server,
    "mirrored": mirrored,
    "stick": stick,
    "arm_board": arm_board,
}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A machine with nothing in it yet."""
    return Tree(tmp_path / "usb-root")  # a name that must not be taken for the way a disk is attached


@pytest.fixture
def machine(tree: Tree) -> Callable[[str], Tree]:
    """Make one of the recorded machines."""
    return lambda name: MACHINES[name](tree)


@pytest.fixture
def module_table() -> Callable[..., bytes]:
    """Make an SMBIOS memory device."""
    return memory_device
