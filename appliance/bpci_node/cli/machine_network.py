"""``bpci machine network``: addresses and Wi-Fi, shown, changed, and tried before they are kept."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.output import Progress, emit, json_option, say
from bpci_node.cli.root import need_root
from bpci_node.errors import UsageError

if TYPE_CHECKING:
    from bpci_node.setup.answers import NetworkAnswers
    from bpci_node.setup.system import System

OPTIONS = [
    click.option("--dhcp", "mode", flag_value="dhcp", help="Let the router give the addresses."),
    click.option("--address", metavar="ADDRESS/PREFIX", help="A fixed address, IPv4 or IPv6."),
    click.option("--gateway", metavar="ADDRESS", default="", help="The way out."),
    click.option("--address6", metavar="ADDRESS/PREFIX", default="", help="An IPv6 address beside an IPv4 one."),
    click.option("--gateway6", metavar="ADDRESS", default="", help="The way out for IPv6."),
    click.option("--dns", metavar="ADDRESS", multiple=True, help="A name server; may be given three times."),
    click.option("--interface", metavar="NAME", default="", help="The interface; the one in use unless given."),
    click.option("--wifi", metavar="SSID", default="", help="Join this Wi-Fi network; its passphrase is asked for."),
    click.option("--country", metavar="CC", default="", help="Whose radio rules hold, such as DE (Wi-Fi)."),
    click.option("--passphrase-stdin", is_flag=True, help="Read the passphrase from standard input."),
    click.option("--open", "is_open", is_flag=True, help="The Wi-Fi network has no passphrase."),
]


def _with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(OPTIONS):
        function = option(function)
    return function


@click.group("network")
def network() -> None:
    """Addresses and Wi-Fi: what is, what could be, and a trial that takes itself back."""


@network.command("show")
@click.option("--registry", "url", metavar="URL", default="", help="Look for this node of the network as well.")
@click.option("--wifi", "with_wifi", is_flag=True, help="List the Wi-Fi networks in the air as well (as root).")
@json_option
def show(*, url: str, with_wifi: bool, as_json: bool) -> int:
    """Show the network as it is, and what is wrong with it, in plain words.

    Exit status: 0 nothing is wrong, 1 something is.

    \b
    Examples:
      bpci machine network show
      bpci machine network show --registry http://192.0.2.5:8545
      sudo bpci machine network show --wifi
    """
    from bpci_node.setup import interfaces, preflight, trial, wifi
    from bpci_node.setup.system import System

    system = System()
    cards = interfaces.list_interfaces(system)
    found = preflight.look(system, url)
    on = trial.current(system) if os.geteuid() == 0 else None
    air: list[dict[str, Any]] = []
    if with_wifi:
        for card in (item for item in cards if item.is_wireless):
            air += [{"interface": card.name} | asdict(item) for item in wifi.scan(system, card.name)]
    radios = [item.name for item in cards if item.is_wireless and not item.addresses]
    troubles = {name: said for name in radios if (said := wifi.trouble(system, name))}
    data: dict[str, Any] = {
        "v": 1,
        "interfaces": [
            {"name": item.name, "wireless": item.is_wireless, "link": item.has_link, "addresses": list(item.addresses)}
            | ({"trouble": troubles[item.name]} if item.name in troubles else {})
            for item in cards
        ],
        "gateway": interfaces.default_gateway(system),
        "findings": [
            {"code": item.code, "well": item.is_well, "text": item.text, "advice": item.advice} for item in found
        ],
        "trial": None if on is None else {"mode": on.network.mode, "seconds_left": on.seconds_left},
    }
    if with_wifi:
        data["wifi"] = air
    lines = interfaces.preflight(cards, data["gateway"])
    lines += [f"Wi-Fi {name}: {said}." for name, said in troubles.items()]
    lines += [f"{'ok' if item.is_well else 'WRONG':<6} {item.line}" for item in found]
    lines += [f"{item['ssid']}: {item['security']}, {item['signal_dbm']} dBm ({item['interface']})" for item in air]
    if on is not None:
        lines.append("New settings are on trial: 'sudo bpci machine network confirm' keeps them.")
    emit(data, as_json, lambda _: "\n".join(lines))
    return 0 if preflight.first_trouble(found) is None else 1


@network.command("set")
@_with_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def set_(*, yes: bool, **options: Any) -> None:
    """Change the network's settings at once, without a trial.

    From far away use 'try' instead: what you get wrong here cuts you off.

    \b
    Examples:
      sudo bpci machine network set --dhcp --yes
      sudo bpci machine network set --address 192.0.2.5/24 --gateway 192.0.2.1 --dns 192.0.2.1
    """
    from bpci_node.setup import plan, trial
    from bpci_node.setup.system import System

    need_root()
    system = System()
    wanted = _wanted(system, options)
    say(plan.in_words(wanted))
    if not yes and not click.confirm("Change the network to this, without a trial?", err=True):
        raise UsageError("nothing was changed", code="usage.declined")
    trial.restore(system)
    trial.keep(system, wanted)
    say("the network is set")


@network.command("try")
@_with_options
@click.option("--seconds", type=click.IntRange(10, 3600), default=90, show_default=True, help="How long it is tried.")
@click.option("--no-wait", is_flag=True, help="Return at once; 'confirm' keeps the settings.")
def try_(*, seconds: int, no_wait: bool, **options: Any) -> int:
    """Put new settings in force, and take them back unless they are confirmed.

    They are taken back by the system itself when the time is over, even if this session was cut off. Press Enter here,
    or run 'sudo bpci machine network confirm' in a session over the new address, to keep them.

    Exit status: 0 kept (or, with --no-wait, on trial), 1 taken back.

    \b
    Examples:
      sudo bpci machine network try --address 192.0.2.5/24 --gateway 192.0.2.1 --dns 192.0.2.1
      sudo bpci machine network try --wifi Attic --country DE --interface wlan0
      sudo bpci machine network try --dhcp --no-wait
    """
    from bpci_node.setup import plan, trial
    from bpci_node.setup.system import System

    need_root()
    system = System()
    wanted = _wanted(system, options)
    on = trial.begin(system, wanted, seconds)
    say(f"on trial for {seconds} s: {plan.in_words(wanted)}")
    if no_wait or not sys.stdin.isatty():
        say("keep it with 'sudo bpci machine network confirm'")
        return 0
    say("Enter keeps it; wait, or press Ctrl+C, and the settings before are in force again.")
    progress = Progress()
    try:
        while time.monotonic() < on.ends and trial.current(system) is not None:
            progress.update(f"{on.seconds_left} s   {_so_far(system, wanted)}")
            if select.select([sys.stdin], [], [], 1.0)[0]:
                sys.stdin.readline()
                progress.finish()
                trial.confirm(system)
                say("kept")
                return 0
    except KeyboardInterrupt:
        pass
    progress.finish()
    trial.restore(system)
    say("taken back: the settings before are in force again")
    return 1


@network.command("confirm")
def confirm() -> None:
    """Keep the settings that are on trial.

    \b
    Example:
      sudo bpci machine network confirm
    """
    from bpci_node.setup import plan, trial
    from bpci_node.setup.system import System

    need_root()
    say(f"kept: {plan.in_words(trial.confirm(System()))}")


@network.command("restore")
def restore() -> None:
    """Take back the settings that are on trial now. The system runs this when the time of a trial is over.

    \b
    Example:
      sudo bpci machine network restore
    """
    from bpci_node.setup import trial
    from bpci_node.setup.system import System

    need_root()
    was_on = trial.restore(System())
    say("the settings before are in force again" if was_on else "nothing was on trial")


def _so_far(system: System, wanted: NetworkAnswers) -> str:
    """Return which addresses the settings on trial have given by now, or what keeps Wi-Fi from its network."""
    from bpci_node.setup import interfaces, wifi

    if not wanted.interface:
        return ", ".join(interfaces.own_addresses(system)) or "no address yet"
    mine = [item for item in interfaces.list_interfaces(system) if item.name == wanted.interface]
    addresses = [text.split("/")[0] for item in mine for text in item.addresses]
    why = wifi.trouble(system, wanted.interface) if wanted.wifi_ssid and not addresses else ""
    return ", ".join(addresses) or f"no address yet{f': {why}' if why else ''}"


def _wanted(system: System, options: dict[str, Any]) -> NetworkAnswers:
    """Return the settings that the options mean.

    Raises:
        UsageError: they don't fit together (``usage.call``, ``usage.network``).
    """
    from bpci_node.setup.answers import NetworkAnswers
    from bpci_node.setup.forms import check_network

    if (options["mode"] is not None) == (options["address"] is not None) and not options["wifi"]:
        raise UsageError("give either --dhcp or --address, or --wifi", code="usage.call")
    if options["mode"] and options["address"]:
        raise UsageError("--dhcp and --address exclude one another", code="usage.call")
    is_wireless = bool(options["wifi"])
    if options["mode"] and not is_wireless and not options["interface"]:
        return NetworkAnswers()
    wanted = NetworkAnswers(
        "static" if options["address"] else "dhcp",
        options["interface"] or _interface(system, is_wireless=is_wireless),
        options["address"] or "",
        options["gateway"],
        tuple(options["dns"]),
        options["address6"],
        options["gateway6"],
        options["wifi"],
        options["country"],
    )
    if is_wireless and not options["is_open"]:
        wanted = replace(wanted, wifi_passphrase=_passphrase(from_stdin=options["passphrase_stdin"]))
    try:
        check_network(wanted)
    except UsageError as error:
        key = str(error.details.get("key", "")).replace("wifi_", "")
        raise UsageError(f"--{'wifi' if key == 'ssid' else key} {error.message}", code=error.code) from None
    return wanted


def _interface(system: System, *, is_wireless: bool) -> str:
    from bpci_node.setup.interfaces import list_interfaces

    for item in list_interfaces(system):
        if item.is_wireless == is_wireless:
            return item.name
    kind = "Wi-Fi" if is_wireless else "wired"
    raise UsageError(f"this machine has no {kind} interface", code="usage.network", hint="Name one with --interface.")


def _passphrase(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise UsageError(
            "the Wi-Fi passphrase is missing", code="usage.call", hint="Give --passphrase-stdin, or --open."
        )
    return str(click.prompt("Wi-Fi passphrase", hide_input=True, err=True))
