"""Clean Debian machines at native speed: a cached root, thrown-away changes, and systemd as first process.

What this host needs to reach its package registries (apt sources, certificates, pip's settings, proxies) is handed on
as it is configured here; nothing of it is written in this repository.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / "build" / "test-root"
HANDED_ON_FILES = [Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pip.conf")]
FETCHING = re.compile(r"^Acquire::(https?::|Check-|Retries|ForceIPv)")
HANDED_ON = re.compile(
    r"PIP_(?!FIND_LINKS)\w+|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|(https?|no|all)_proxy", re.IGNORECASE
)


def base_root(*packages: str) -> Path:
    """Return the root of a minimal Debian 12 with ``packages``; made once for each list of them."""
    configured = subprocess.run(["apt-config", "dump", "--no-empty"], check=True, capture_output=True, text=True).stdout
    fetching = "".join(f"{line}\n" for line in configured.splitlines() if FETCHING.match(line))
    command = [str(ROOT / "image" / "base.sh"), "--sources", "debian-12"]
    sources = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    key = hashlib.sha256("\n".join([*sorted(packages), fetching, sources]).encode()).hexdigest()[:16]
    root = CACHE / key
    if root.exists():
        return root
    part = CACHE / f"{key}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    (CACHE / f"{key}.sources").write_text(sources)
    (CACHE / f"{key}.conf").write_text(fetching)
    subprocess.run(
        [
            "mmdebstrap", "--quiet", "--variant=apt", "--mode=root", f"--include={','.join(packages)}",
            f"--aptopt={CACHE / f'{key}.conf'}", "bookworm", str(part), str(CACHE / f"{key}.sources"),
        ],
        check=True,
    )  # fmt: skip
    (part / "etc" / "hostname").write_text("clean\n")
    part.rename(root)
    return root


@dataclass(frozen=True, slots=True)
class Copy:
    """A root tree that lies over another one."""

    root: Path
    """The whole, as it is seen."""
    lower: Path
    """The tree below, which stays as it is."""
    changes: Path
    """What differs from it."""


@contextmanager
def changed_copy(lower: Path, *, changes: Path | None = None) -> Iterator[Copy]:
    """A copy of ``lower`` in which everything may be changed, and that is gone afterwards.

    Args:
        changes: what another copy of ``lower`` differs in; this one begins with the same.
    """
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="run-") as directory:
        upper, work, merged = (Path(directory) / name for name in ("upper", "work", "merged"))
        for path in (work, merged):
            path.mkdir()
        if changes is None:
            upper.mkdir()
        else:
            subprocess.run(["cp", "-a", str(changes), str(upper)], check=True)
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(merged)], check=True)
        try:
            yield Copy(merged, lower, upper)
        finally:
            subprocess.run(["umount", "--recursive", str(merged)], check=True)


@dataclass(frozen=True, slots=True)
class Container:
    """A running machine."""

    leader: int
    """Process id, here, of its first process."""
    environment: tuple[str, ...]
    """What commands in it find in their environment."""

    def run(self, command: str, *, status: int | None = 0, seconds: float = 60) -> str:
        """Run a shell command as root and return its standard output.

        Args:
            status: the exit status that is right; ``None`` accepts any.
        """
        entered = ["nsenter", "--target", str(self.leader), "--all", "/usr/bin/env", "-i", *self.environment]
        done = subprocess.run(
            [*entered, "/bin/bash", "-c", command], capture_output=True, text=True, timeout=seconds, check=False
        )
        assert status is None or done.returncode == status, (
            f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout


@contextmanager
def booted(root: Path, *, log: Path, own_network: bool = False) -> Iterator[Container]:
    """Boot ``root``, the repository at /srv/bpci, read-only; its console goes to ``log``.

    Args:
        own_network: a network name space with the loopback alone, instead of this host's network.
    """
    # nspawn wants a directory of its own there, in memory; a host that was not started by systemd has neither.
    Path("/run/systemd/nspawn").mkdir(parents=True, exist_ok=True)
    prepared = 'mount -t tmpfs tmpfs /run/systemd/nspawn && mkdir /run/systemd/nspawn/propagate && exec "$@"'
    command = [
        "unshare", "--mount", "sh", "-c", prepared, "sh",
        "systemd-nspawn", "--quiet", f"--directory={root}", "--boot", "--register=no", "--keep-unit",
        "--link-journal=no", "--resolv-conf=copy-host", "--timezone=off", "--machine=clean", "--console=pipe",
        f"--bind-ro={ROOT}:/srv/bpci",
    ]  # fmt: skip
    command += ["--private-network"] if own_network else []
    command += [f"--bind-ro={path}" for path in HANDED_ON_FILES if path.exists()]
    environment = [f"{key}={value}" for key, value in os.environ.items() if HANDED_ON.fullmatch(key)]
    environment += ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"UNIFIED_CGROUP_HIERARCHY": "1"},
        )
    try:
        container = Container(_leader(process, log), tuple(environment))
        deadline = time.monotonic() + 60
        while container.run("systemctl is-system-running", status=None).strip() not in ("running", "degraded"):
            assert time.monotonic() < deadline, f"the container did not start, see {log}"
            time.sleep(0.5)
        yield container
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _leader(process: subprocess.Popen[bytes], log: Path) -> int:
    """Return the first process of the container that ``process`` runs."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            with suppress(OSError):
                if Path(f"/proc/{child}/ns/pid").readlink() != Path("/proc/self/ns/pid").readlink():
                    return int(child)
        time.sleep(0.1)
    raise AssertionError(f"systemd-nspawn did not start a container:\n{log.read_text()}")
