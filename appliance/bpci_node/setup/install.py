"""Installing to an internal disk: the image is copied there, and what the owner has answered lies in its data.

The copy is made by the image's own program, which knows the layout. Then the keys, the settings and the journal are
written below the new disk's data; the machine restarts from that disk, and set-up goes on there by itself. The keys
wait as plain files of root until then: the machine's sealing key is made at that disk's first boot, and seals them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from bpci_node.errors import HostError
from bpci_node.primitives.derivation import derive_keys
from bpci_node.primitives.keys import LocalSigner
from bpci_node.setup import encryption, keystore, settings
from bpci_node.setup.journal import Journal
from bpci_node.setup.local_steps import note_identity
from bpci_node.setup.run import Run, Step
from bpci_node.setup.system import System

PROGRAM = "/usr/lib/bpci/install-disk"
MAPPED = "bpci-target"
"""Name under which the program opens the data of the new disk, where they are encrypted."""


def _copy(run: Run) -> None:
    target = partition = ""

    def on_line(line: str) -> None:
        nonlocal target, partition
        word, _, rest = line.partition(" ")
        if word == "progress":
            percent, _, text = rest.partition(" ")
            run.say(f"{percent} % {text}")
        elif word == "data":
            target = rest.strip()
        elif word == "encrypted":
            partition = rest.strip()

    how = ("--encrypt",) if run.plan.answers.encrypt else ()
    done = run.system.streamer((str(run.system.path(PROGRAM)), *how, "--yes", f"/dev/{run.plan.disk}"), on_line)
    if done.status or not target.startswith("/"):
        said = dict(line.split(": ", 1) for line in done.errors.splitlines() if line.startswith(("error: ", "hint: ")))
        last = done.errors.splitlines()[-1:] or [f"exit status {done.status}"]
        raise HostError(
            f"installing to {run.plan.disk} failed: {said.get('error', last[0])}",
            code="host.install",
            hint=said.get("hint", "Is the disk whole? Try again, or choose another one."),
        )
    run.journal.results |= {"target_data": target, "target_partition": partition}


def _copied(run: Run) -> bool:
    target = run.journal.results.get("target_data", "")
    return bool(target) and run.system.path(target).is_dir()


def _bind_disk(run: Run) -> None:
    encryption.bind(run.system, str(run.journal.results["target_partition"]), run.disk_key)


def _disk_is_bound(run: Run) -> bool:
    return not run.system.exists(encryption.KEY)


def _hand_over(run: Run) -> None:
    target = System(run.system.path(str(run.journal.results["target_data"])), run.system.runner)
    if not run.phrase:
        raise HostError(
            "the recovery phrase is needed to put the keys on the new disk",
            code="host.phrase",
            hint="Start set-up again; the disk is only written once more.",
        )
    keys = derive_keys(run.phrase)
    keystore.keep_plain(target, keystore.NODE_KEY, keys.node)
    keystore.keep_plain(target, keystore.BACKUP_KEY, keys.backup_key)
    if run.plan.answers.join.mode == "devnet":
        keystore.keep_plain(target, keystore.REGISTRY_KEY, keys.registry)
    target.write(settings.PATH, settings.dump(settings.settings_of(run.plan.answers)), settings.MODE)
    note_identity(run, LocalSigner(keys.node))
    there = replace(run.plan, disk="", answers=replace(run.plan.answers, install_to=""))
    names = ("did", "account")
    Journal(target, there, results={name: run.journal.results[name] for name in names}, goes_on=run.way).save()
    run.system.run("sync")


def _release(run: Run) -> None:
    target = run.system.path(str(run.journal.results["target_data"]))
    run.system.attempt("umount", "--recursive", str(target))
    # Left there, it would be taken for the disk by a run that begins anew, and get keys that the disk never sees.
    with suppress(OSError):
        target.rmdir()
    if run.plan.answers.encrypt:
        run.system.attempt("cryptsetup", "close", MAPPED)


def _repeats(_run: Run) -> bool:
    return False


COPY = Step("install", "Copy the system to the disk", _copy, _copied, "Try again, or choose another disk.")
BIND = Step("install-encryption", "Bind the disk to the TPM", _bind_disk, _disk_is_bound, "Is the TPM on?")
REST = (
    Step("hand-over", "Put keys and settings on it", _hand_over, _repeats, "Try again."),
    Step("release", "Let go of the disk", _release, _repeats, "Try again."),
)


def steps(*, encrypts: bool) -> tuple[Step, ...]:
    """Return the steps that install to a disk."""
    return (COPY, BIND, *REST) if encrypts else (COPY, *REST)
