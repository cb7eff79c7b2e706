"""Radios for a machine that has none: the kernel's simulated ones, with access points behind three of them.

``mac80211_hwsim`` gives four radios that hear each other, driven by the same stack as real ones. The first stays with
the machine. The others go, each with an access point and a DHCP server, into a network name space of their own, where
nothing but the air leads to. All of it is made of what the image holds anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.infra.appliance import Appliance

PLACE = "/run/air"
"""Where the access points keep what they know; only root looks in."""
SECRET = f"{PLACE}/secrets"
"""The passphrases, one per line, as patterns to look for."""
RADIO = "wlan0"
"""The radio of the machine itself."""


@dataclass(frozen=True, slots=True)
class Point:
    """An access point."""

    number: int
    """Of its radio, and of its network 10.77.NUMBER.0/24."""
    ssid: str
    megahertz: int
    security: str
    passphrase: str
    keys: str
    """Lines of wpa_supplicant.conf(5)."""

    @property
    def network(self) -> str:
        """What its addresses begin with."""
        return f"10.77.{self.number}."


ATTIC = Point(
    1, "Attic", 2412, "WPA2", "under the roof 1", 'key_mgmt=WPA-PSK\nproto=RSN\npairwise=CCMP\npsk="under the roof 1"'
)
CELLAR = Point(
    2, "Cellar", 2437, "WPA3", "below the house 2",
    'key_mgmt=SAE\nproto=RSN\npairwise=CCMP\nieee80211w=2\nsae_password="below the house 2"',
)  # fmt: skip
PORCH = Point(3, "Porch", 2462, "open", "", "key_mgmt=NONE")
POINTS = (ATTIC, CELLAR, PORCH)

UNIT = """[Unit]
After=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -eu /usr/local/sbin/air
[Install]
WantedBy=multi-user.target
"""


def script() -> str:
    """Return what puts the access points up, at each start of the machine."""
    secrets = "\n".join(point.passphrase for point in POINTS if point.passphrase)
    lines = [
        "modprobe mac80211_hwsim",
        "udevadm settle",
        f"mkdir -p -m 700 {PLACE}",
        f"cat >{SECRET} <<'END'\n{secrets}\nEND",
        "ip netns add street",
    ]
    for point in POINTS:
        name, radio = f"{PLACE}/{point.ssid}", f"wlan{point.number}"
        run = "systemd-run --quiet --property=NetworkNamespacePath=/run/netns/street"
        station = f'country=DE\nnetwork={{\nssid="{point.ssid}"\nmode=2\nfrequency={point.megahertz}\n{point.keys}\n}}'
        leases = (
            f"start {point.network}100\nend {point.network}120\ninterface {radio}\nlease_file {name}.leases\n"
            f"pidfile {name}.pid\nopt subnet 255.255.255.0\nopt router {point.network}1"
        )
        lines += [
            f'iw phy "$(basename "$(readlink -f /sys/class/net/{radio}/phy80211)")" set netns name street',
            f"ip -n street address add {point.network}1/24 dev {radio}",
            f"ip -n street link set {radio} up",
            f"cat >{name}.conf <<'END'\n{station}\nEND",
            f"cat >{name}.dhcp <<'END'\n{leases}\nEND",
            f"touch {name}.leases",
            f"{run} --unit=air-{point.ssid} wpa_supplicant -i {radio} -c {name}.conf",
            f"{run} --unit=air-{point.ssid}-dhcp busybox udhcpd -f {name}.dhcp",
        ]
    return "\n".join(lines) + "\n"


def put_up(appliance: Appliance) -> None:
    """Give the machine its radio, and put the access points up, now and at each later start."""
    for name, text in {
        "/usr/local/sbin/air": script(),
        "/etc/systemd/system/air.service": UNIT,
        "/etc/modprobe.d/air.conf": "options mac80211_hwsim radios=4\n",
        "/etc/modules-load.d/air.conf": "mac80211_hwsim\n",  # early, as the driver of a real radio
    }.items():
        appliance.sudo(f"umask 077; cat >{name}", stdin=text.encode())
    appliance.sudo("systemctl enable --now air.service")
