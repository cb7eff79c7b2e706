"""The node that mines: its configuration, its keys and their files, and how it is started anew."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bpci_node.errors import StorageError, UsageError

if TYPE_CHECKING:
    from bpci_node.primitives.bls import BlsSigner
    from bpci_node.primitives.keys import LocalSigner
    from bpci_node.primitives.mldsa import MlDsaSigner
    from bpci_node.runtime.config import NodeConfig
    from bpci_node.setup.system import System

_UNIT = "bpci-node.service"


@dataclass(frozen=True, slots=True)
class ValidatorKeys:
    """What a validator registers; ``repr`` shows nothing of it."""

    bls: BlsSigner = field(repr=False)
    """For votes."""
    vrf: LocalSigner = field(repr=False)
    """Of the key with which it draws."""
    ml_dsa: MlDsaSigner = field(repr=False)
    """For bundles."""


@dataclass(frozen=True, slots=True)
class MiningPlace:
    """A node of this machine, by its configuration."""

    path: Path
    """The configuration's file."""
    config: NodeConfig
    """What is in it."""
    system: System
    """The machine."""

    @property
    def is_service(self) -> bool:
        """Whether it is the machine's own node: its keys come from the service manager, which also starts it."""
        return self.config.keys.node.startswith("credential:")

    @property
    def url(self) -> str:
        """Base URL of its API on this machine."""
        listen = self.config.api.listen
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(listen, f"[{listen}]" if ":" in listen else listen)  # noqa: S104
        return f"http://{host}:{self.config.api.port}"

    def signer(self) -> LocalSigner:
        """Return the signer of the node's key.

        Raises:
            BpciError: the key can't be read (``config.key_file``, ``storage.key``, ``host.command``).
        """
        from bpci_node.primitives.keys import LocalSigner
        from bpci_node.runtime.key_files import read_key
        from bpci_node.setup import keystore

        if self.is_service:
            return LocalSigner(keystore.open_key(self.system, keystore.NODE_KEY))
        return LocalSigner(read_key(self.config.keys.node, key="keys.node"))

    def validator_keys(self) -> ValidatorKeys:
        """Return the keys that the configuration names for a validator.

        Raises:
            UsageError: it names none (``config.value``), or one can't be read (``config.key_file``).
            BpciError: the machine's keystore does not give one (``storage.key``, ``host.command``).
        """
        from bpci_node.primitives.bls import BlsSigner
        from bpci_node.primitives.keys import LocalSigner
        from bpci_node.primitives.mldsa import MlDsaSigner
        from bpci_node.runtime.key_files import read_key
        from bpci_node.setup import keystore

        section = self.config.validator
        if section is None:
            raise UsageError("the configuration names no validator's keys", code="config.value", key="validator")
        if self.is_service:
            bls, vrf, ml_dsa = (keystore.open_key(self.system, name) for name in keystore.VALIDATOR_KEYS)
        else:
            named = {"bls": section.bls, "vrf": section.vrf, "ml_dsa": section.ml_dsa}
            bls, vrf, ml_dsa = (read_key(place, key=f"validator.{name}") for name, place in named.items())
        return ValidatorKeys(BlsSigner(int.from_bytes(bls)), LocalSigner(vrf), MlDsaSigner(ml_dsa))

    def store(self, config: NodeConfig) -> MiningPlace:
        """Write another configuration, whole or not at all, and return the place with it.

        Raises:
            StorageError: it can't be written (``storage.write``).
        """
        from bpci_node.runtime.config import dump

        place = self.system.path(str(self.path))
        mode = place.stat().st_mode & 0o777 if place.exists() else 0o644
        self.system.write(str(self.path), dump(config), mode)
        return replace(self, config=config)

    def start_anew(self) -> bool:
        """Let the node begin again with its configuration; ``False`` if somebody else has to do that.

        Raises:
            HostError: it does not start (``host.command``, ``devnet.start``).
        """
        from bpci_node.runtime.supervision import pid_of, start_node, stop_nodes
        from bpci_node.setup import machine

        if self.is_service:
            machine.hand_over_keys(self.system)
            self.system.run("systemctl", "restart", _UNIT, hint="journalctl -u bpci-node says why.")
            return True
        pid, log = pid_of(self.config.state_dir), self.path.parent / "node.log"
        if pid is None or not log.exists():
            return pid is None
        stop_nodes([pid])
        start_node(self.path, log).await_ready(self.config.owner.socket)
        return True


def open_place(path: Path) -> MiningPlace:
    """Return the node of a configuration.

    Raises:
        UsageError: it can't be read, or is none (``config.*``).
    """
    from bpci_node.runtime.config import load
    from bpci_node.setup.system import System

    return MiningPlace(path.absolute(), load(path), System())


def make_keys(place: MiningPlace, phrase: str | None) -> MiningPlace:
    """Put the validator's keys where they belong, of the owner's phrase or drawn, and name them in the configuration.

    Keys that are there stay. The configuration is not written.

    Raises:
        FormatError: no phrase (``format.phrase``).
        UsageError: the phrase of another node (``miner.phrase``).
        StorageError: they can't be written (``storage.write``).
    """
    from bpci_node.primitives.derivation import derive_keys, new_phrase
    from bpci_node.primitives.keys import LocalSigner
    from bpci_node.runtime.auction_config import ValidatorSection
    from bpci_node.setup import keystore

    keys = derive_keys(new_phrase(os.urandom(32)) if phrase is None else phrase, place.config.node.instance)
    if phrase is not None and LocalSigner(keys.node).public_key != place.signer().public_key:
        raise UsageError(
            "these words are another node's",
            code="miner.phrase",
            hint="Give the phrase with which this node was set up, or none: keys are drawn then.",
        )
    seeds = dict(zip(keystore.VALIDATOR_KEYS, (keys.bls.to_bytes(32), keys.vrf_seed, keys.ml_dsa_seed), strict=True))
    if place.is_service:
        for name, seed in seeds.items():
            if not keystore.is_kept(place.system, name):
                keystore.keep(place.system, name, seed)
        section = ValidatorSection(*(f"credential:{name}" for name in seeds))
    else:
        directory = Path(place.config.keys.node.removeprefix("file:")).parent
        files = {name: directory / f"{name}.key" for name in seeds}
        for name, file in files.items():
            write_secret(file, seeds[name])
        section = ValidatorSection(*(f"file:{file}" for file in files.values()))
    return replace(place, config=replace(place.config, validator=section))


def write_secret(path: Path, data: bytes) -> None:
    """Write a file that its owner alone may read; one that is there stays as it is.

    Raises:
        StorageError: it can't be written (``storage.write``).
    """
    try:
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", code="storage.write") from error
