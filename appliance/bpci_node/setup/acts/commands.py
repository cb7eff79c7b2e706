"""Which command of ours carries an act out: the same that a person types on the console, with the same checks."""

from __future__ import annotations

from bpci_node.setup.acts.request import DIRECTORY, TRIAL_SECONDS, Request

BUNDLE = f"{DIRECTORY}/support.tar.gz"


def command_of(request: Request) -> tuple[list[str], bytes]:
    """Return arguments for ``bpci``, and what it reads on standard input.

    What a person typed stands behind ``=`` or ``--``, so that it is never an option. A passphrase is on standard input.
    """
    values = request.values
    if request.act == "try":
        return _trial(values)
    fixed = {
        "look": ["machine", "network", "show"],
        "plan": ["doctor", "--plan"],
        "repair": ["doctor", "--fix", "--yes"],
        "support": ["support", "bundle", f"--out={BUNDLE}"],
        "confirm": ["machine", "network", "confirm"],
        "restore": ["machine", "network", "restore"],
        "restart": ["machine", "restart", "--yes"],
        "poweroff": ["machine", "poweroff", "--yes"],
    }
    typed = {"keyboard": "layout", "timezone": "zone"}
    if request.act in typed:
        return ["machine", request.act, "--", values[typed[request.act]]], b""
    return fixed[request.act], b""


def _trial(values: dict[str, str]) -> tuple[list[str], bytes]:
    command = ["machine", "network", "try", "--no-wait", f"--seconds={TRIAL_SECONDS}"]
    if values["interface"]:
        command.append(f"--interface={values['interface']}")
    if values["mode"] == "dhcp":
        return [*command, "--dhcp"], b""
    if values["mode"] == "static":
        command += [f"--{name}={values[name]}" for name in ("address", "gateway", "address6", "gateway6")]
        return [*command, *(f"--dns={item}" for item in values["dns"].replace(",", " ").split())], b""
    command += [f"--wifi={values['ssid']}", f"--country={values['country'].upper()}"]
    if not values["passphrase"]:
        return [*command, "--open"], b""
    return [*command, "--passphrase-stdin"], values["passphrase"].encode() + b"\n"
