"""Architecture, number of usable processors, and the instructions that cryptography leans on."""

from __future__ import annotations

from bpci_node.host import limits, processors
from bpci_node.host.check import PASS, Check, number, wish, without
from bpci_node.host.context import Context
from bpci_node.host.profiles import Profile
from bpci_node.host.result import CouldNotTellError, Judgement, Measured, Requirement, Verdict

SUPPORTED = ("x86_64", "aarch64")
_AES = {"x86_64": "aes", "aarch64": "aes"}
_VECTORS = {"x86_64": "avx2", "aarch64": "asimd"}


def _measure_architecture(context: Context) -> Measured:
    if not context.machine:
        raise CouldNotTellError("the kernel names no architecture")
    return Measured(context.machine, "", context.machine)


def _require_architecture(_profile: Profile) -> Requirement:
    return Requirement(" or ".join(SUPPORTED), needed=True)


def _judge_architecture(measured: Measured, _profile: Profile) -> Judgement:
    if measured.value in SUPPORTED:
        return PASS
    return Judgement(Verdict.FAIL, "Use a 64-bit PC or a 64-bit ARM machine with a 64-bit system.")


ARCHITECTURE = Check("architecture", "Architecture", _measure_architecture, _require_architecture, _judge_architecture)


def _measure_cores(context: Context) -> Measured:
    running = processors.online(context.root)
    usable = processors.allowed(context.root) & running if running else processors.allowed(context.root)
    if not usable:
        raise CouldNotTellError("the kernel lists no processors")
    count = len(usable)
    text = f"{count} processors"
    facts: dict[str, int | str | bool | list[str]] = {"online": len(running), "allowed": count}
    cores = processors.physical_cores(context.root, usable)
    if cores is not None:
        facts["physical_cores"] = cores
        text += f" on {cores} cores"
    if count < len(running):
        text += f", of {len(running)} (affinity)"
    quota = limits.processor_quota_milli(context.root)
    if quota is not None:
        facts["quota_milli"] = quota
        if quota < count * 1000:
            count = quota // 1000
            text += f", limited to {quota / 1000:g} (cgroup)"
    return Measured(count, "processors", text, facts)


def _require_cores(profile: Profile) -> Requirement:
    return Requirement(f"at least {profile.logical_processors}", needed=True)


def _judge_cores(measured: Measured, profile: Profile) -> Judgement:
    if number(measured) >= profile.logical_processors:
        return PASS
    online = measured.facts.get("online", 0)
    if isinstance(online, int) and online >= profile.logical_processors:
        return Judgement(
            Verdict.FAIL, "Lift the limit on processors that this process, container or service runs under."
        )
    return Judgement(
        Verdict.FAIL,
        f"Use a machine with {profile.logical_processors} processors (threads count), or give the virtual one more.",
    )


CORES = Check("cores", "Processors", _measure_cores, _require_cores, _judge_cores)


def _measure_instructions(context: Context) -> Measured:
    if context.machine not in SUPPORTED:
        raise CouldNotTellError(f"not known for {context.machine}")
    known = processors.instructions(context.root)
    if not known:
        raise CouldNotTellError("the kernel lists no processor features")
    vectors = _VECTORS[context.machine]
    present = [name for name in (_AES[context.machine], vectors) if name in known]
    missing = [name for name in (_AES[context.machine], vectors) if name not in known]
    names = {"aes": "AES", "avx2": "AVX2", "asimd": "NEON"}
    text = ", ".join([names[name] for name in present] + [f"no {names[name]}" for name in missing])
    return Measured(not missing, "", text, {"present": present, "missing": missing})


def _require_instructions(profile: Profile) -> Requirement:
    return wish(profile.instructions, "AES, AVX2 or NEON")


def _judge_instructions(measured: Measured, profile: Profile) -> Judgement:
    if measured.value is True:
        return PASS
    return without(
        profile.instructions,
        "Without them hashing and encryption run several times slower; a virtual machine may need CPU type `host`.",
    )


INSTRUCTIONS = Check("instructions", "Instructions", _measure_instructions, _require_instructions, _judge_instructions)
