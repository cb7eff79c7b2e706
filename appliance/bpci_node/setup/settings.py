"""``/etc/bpci/settings.toml``: what the owner has set about the machine, kept with the data.

The root file system can be replaced by an update; whatever it must carry of the owner's settings is put there again
from this file (:mod:`bpci_node.setup.machine`). It holds password hashes and the Wi-Fi passphrase, so only root may
read it. Invariant:
:func:`parse` reads back what :func:`dump` writes.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

import tomli_w

from bpci_node.errors import UsageError
from bpci_node.setup.answers import Answers, MachineAnswers, NetworkAnswers, OwnerAnswers
from bpci_node.setup.system import System

PATH = "/etc/bpci/settings.toml"
MODE = 0o600


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that live on the replaceable root."""

    machine: MachineAnswers
    network: NetworkAnswers
    owner: OwnerAnswers


def settings_of(answers: Answers) -> Settings:
    """Return the part of the answers that this file keeps."""
    return Settings(answers.machine, answers.network, answers.owner)


def dump(settings: Settings) -> str:
    """Return the text of the file."""
    machine, network, owner = settings.machine, settings.network, settings.owner
    return tomli_w.dumps(
        {
            "v": 1,
            "machine": {"hostname": machine.hostname, "keymap": machine.keymap, "timezone": machine.timezone},
            "network": network.as_map(),
            "owner": {
                "name": owner.name,
                "password_hash": owner.password_hash,
                "web_password_hash": owner.web_password_hash,
                "ssh_keys": list(owner.ssh_keys),
            },
        }
    )


def parse(text: str) -> Settings:
    """Read the text of the file.

    Raises:
        UsageError: it is not what set-up writes (``config.value``).
    """
    try:
        value = tomllib.loads(text)
        known = {1: ("machine", "network", "owner")}
        machine, network, owner = (dict(value[table]) for table in known[value["v"]])
        network["dns"] = tuple(network.get("dns", ()))
        owner["ssh_keys"] = tuple(owner["ssh_keys"])
        return Settings(MachineAnswers(**machine), NetworkAnswers(**network), OwnerAnswers(**owner))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{PATH} is not in the form that set-up writes ({type(error).__name__})",
            code="config.value",
            hint="Run 'sudo bpci setup' to write it anew.",
        ) from error


def load(system: System) -> Settings | None:
    """Return the machine's settings, or ``None`` before set-up.

    Raises:
        UsageError: as :func:`parse`.
    """
    data = system.read(PATH)
    return None if data is None else parse(data.decode(errors="replace"))
