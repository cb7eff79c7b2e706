"""A machine on which the node is updated: real wheels, prefixes and node processes, and a service manager of its own.

The wheels of the project are packed from this tree; its dependencies are those of the environment that runs the tests,
by one tiny wheel that names their directory, since installing them takes a minute and is tested elsewhere.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bpci_node.primitives.codec import encode
from bpci_node.runtime.config import (
    ApiSection,
    KeysSection,
    LedgerSection,
    NodeConfig,
    NodeSection,
    OwnerSection,
    TargetSection,
    dump,
)
from bpci_node.update.machine import platform_name
from scripts.make_update import ReleaseSigner, describe, make

ROOT = Path(__file__).parents[2]
INSTALLER = ROOT / "ansible/roles/node/files/install-prefix.sh"
PYTHON = "/usr/bin/python3"
DAY = 86_400

SYSTEMCTL = """#!{python} -I
import json, os, signal, socket, subprocess, sys, time
home = {home!r}
pid_file, bpci = home + "/pid", home + "/opt/bpci/bin/bpci"

def running():
    try:
        pid = int(open(pid_file).read())
        os.kill(pid, 0)
        return pid if open(f"/proc/{{pid}}/stat").read().rsplit(")", 1)[1].split()[0] != "Z" else 0
    except (OSError, ValueError):
        return 0

def start():
    if running():
        return 0
    path = home + "/notify"
    if os.path.exists(path):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard, open(home + "/node.log", "ab") as log:
        heard.bind(path)
        heard.settimeout(0.2)
        command = [bpci, "node", "run", "--config", home + "/node.toml"]
        environment = os.environ | {{"NOTIFY_SOCKET": path}}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        with open(pid_file, "w") as file:
            file.write(str(process.pid))
        end = time.monotonic() + 120
        while time.monotonic() < end and process.poll() is None:
            try:
                if b"READY=1" in heard.recv(4096):
                    with open(home + "/ready_at", "w") as file:
                        file.write(str(time.monotonic_ns() // 1000))
                    return 0
            except TimeoutError:
                pass
    return 1

def stop():
    pid = running()
    if pid:
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 60
        while running() and time.monotonic() < end:
            time.sleep(0.05)
    return 1 if running() else 0

verb = sys.argv[1]
if verb == "show":
    print("ActiveState=" + ("active" if running() else "inactive"))
    print("NRestarts=0")
    ready = home + "/ready_at"
    print("ActiveEnterTimestampMonotonic=" + (open(ready).read() if os.path.exists(ready) else "0"))
    print("Result=" + ("success" if running() else "exit-code"))
elif verb in ("start", "stop"):
    sys.exit(start() if verb == "start" else stop())
elif verb != "reset-failed":
    sys.exit("unexpected: " + verb)
"""

DRIVER = """
import json, os, signal, sys
from pathlib import Path
from bpci_node.update.settings import load_settings
from bpci_node.update.updater import Updater

steps, fatal = [], sys.argv[3]

def tell(text):
    steps.append(text)
    if str(len(steps)) == fatal or (not fatal.isdigit() and text.startswith(fatal)):
        print(json.dumps(steps), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

updater = Updater(load_settings(Path(sys.argv[1])), tell)
with updater.alone():
    verdict = updater.apply(Path(sys.argv[2]))
print(json.dumps(verdict))
"""


def pack_wheel(path: Path, name: str, version: str, files: dict[str, bytes], entry: str = "") -> None:
    """Write a wheel; ``path`` is a directory."""
    info = f"{name}-{version}.dist-info"
    files = dict(files)
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if entry:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{entry}\n".encode()
    lines = []
    for file, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{file},sha256={digest},{len(data)}\n")
    files[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"]).encode()
    wheel = path / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file, data in files.items():
            archive.writestr(zipfile.ZipInfo(file), data)
    pin = f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
    (path / ("project.txt" if name == "bpci_community_os" else "requirements.txt")).write_text(pin)


def _borrowed(place: Path) -> Path:
    """Make a directory that leads to the tests' own packages, without this project, which pip must not find there."""
    borrowed = place.parent / "borrowed"
    if not borrowed.exists():
        borrowed.mkdir()
        for item in Path(sysconfig.get_paths()["purelib"]).iterdir():
            if not item.name.startswith(("bpci", "__editable__", "pip", "setuptools", "_virtualenv", "__pycache__")):
                (borrowed / item.name).symlink_to(item)
    return borrowed


def make_wheelhouse(path: Path, version: str, changes: dict[str, tuple[str, str]] | None = None) -> Path:
    """Pack this tree's node as ``version``; ``changes`` replaces one text in one file."""
    path.mkdir(parents=True)
    pack_wheel(path, "bpci_dependencies", "1", {"bpci_dependencies.pth": f"{_borrowed(path.parent)}\n".encode()})
    pack_project(path, version, changes)
    return path


def pack_project(path: Path, version: str, changes: dict[str, tuple[str, str]] | None = None) -> None:
    """Write the wheel of this tree's node as ``version``, and its pin, into the directory ``path``."""
    files = {}
    for source in sorted((ROOT / "appliance").rglob("*")):
        if source.is_file() and "__pycache__" not in source.parts and ".egg-info" not in str(source):
            files[str(source.relative_to(ROOT / "appliance"))] = source.read_bytes()
    changes = {"bpci_node/__init__.py": ('__version__ = "0.1.0"', f'__version__ = "{version}"')} | (changes or {})
    for name, (before, after) in changes.items():
        assert before.encode() in files[name], (name, before)
        files[name] = files[name].replace(before.encode(), after.encode())
    pack_wheel(path, "bpci_community_os", version, files, "bpci = bpci_node.cli.main:main")


def make_bundle(path: Path, wheelhouse: Path, signer: ReleaseSigner, *, sequence: int, **changes: Any) -> Path:
    """Sign a wheelhouse for this machine."""
    found = describe(
        wheelhouse,
        sequence=sequence,
        platforms=[platform_name()],
        python=f"{sys.version_info[0]}.{sys.version_info[1]}",
        minimum="0.1.0",
        days=30,
        notes="",
    )
    successors = changes.pop("successors", ())
    make(path, wheelhouse, signer, replace(found, **changes), successors)
    return path


@dataclass
class Machine:
    """One machine below a directory."""

    home: Path
    port: int
    signer: ReleaseSigner

    @property
    def settings(self) -> Path:
        return self.home / "updates.toml"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return kept | {"PATH": f"{self.home}/bin:/usr/bin:/bin"}

    def set_up(self, wheelhouse: Path) -> None:
        """Install a version, configure a node with a ledger of its own, and start it."""
        (self.home / "bin").mkdir(parents=True)
        (self.home / "opt").mkdir()
        shim = self.home / "bin/systemctl"
        shim.write_text(SYSTEMCTL.format(python=PYTHON, home=str(self.home)))
        shim.chmod(0o755)
        (self.home / "driver.py").write_text(DRIVER)
        (self.home / "keys").mkdir()
        self.trust(self.signer)
        for name in ("node.key", "registry.key"):
            (self.home / name).write_bytes(os.urandom(32))
            (self.home / name).chmod(0o600)
        config = NodeConfig(
            state_dir=self.home / "state",
            node=NodeSection("updated", endpoints=(f"http://127.0.0.1:{self.port}",)),
            api=ApiSection("127.0.0.1", self.port),
            owner=OwnerSection(self.home / "owner.sock", ""),
            ledger=LedgerSection("embedded", "testnet", heartbeat_seconds=0),
            keys=KeysSection(f"file:{self.home / 'node.key'}", f"file:{self.home / 'registry.key'}"),
            targets=(TargetSection("eip155:1", 45_000_000, 10_000_000),),
        )
        (self.home / "node.toml").write_text(dump(config))
        self.settings.write_text(
            f'v = 1\n[place]\nprefix = "{self.home}/opt/bpci"\nstate = "{self.home}/update"\n'
            f'config = "{self.home}/node.toml"\ninstaller = "{INSTALLER}"\nkeys = ["{self.home}/keys"]\n'
            f'metrics = "{self.home}/metrics"\n[gate]\nready_seconds = 120\n'
            "answer_seconds = 60\nsettle_seconds = 1\ndrain_seconds = 30\n"
        )
        (self.home / "metrics").mkdir()
        command = [INSTALLER, self.home / "opt/bpci", wheelhouse, "--python", PYTHON]
        subprocess.run(command, check=True, capture_output=True)
        self.systemctl("start")

    def trust(self, signer: ReleaseSigner) -> None:
        path = self.home / "keys" / f"{signer.key.name}.release-key"
        path.write_bytes(encode(signer.key.as_map()))

    def systemctl(self, verb: str) -> str:
        done = subprocess.run(
            [self.home / "bin/systemctl", verb, "bpci-node.service"],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + self.log()
        return done.stdout

    def log(self) -> str:
        path = self.home / "node.log"
        return path.read_text()[-4000:] if path.exists() else ""

    def call(self, *arguments: str | Path, status: int = 0) -> Any:
        """Run ``bpci update`` of the installed version and return its JSON document."""
        command = [self.home / "opt/bpci/bin/bpci", "update", *arguments, "--settings", self.settings, "--json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr, self.log())
        return json.loads(done.stdout) if done.stdout else json.loads(done.stderr[done.stderr.index("{") :])

    def apply_and_die(self, bundle: Path, at: int | str) -> list[str] | None:
        """Apply a bundle and kill the process as it tells of its ``at``-th step, or of one that begins with ``at``.

        Returns:
            The steps that were told, ``None`` if it came to its end.
        """
        command = [self.home / "opt/bpci/bin/python3", self.home / "driver.py", self.settings, bundle, str(at)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode in (0, -9), done.stderr
        said: list[str] = json.loads(done.stdout)
        return said if done.returncode == -9 else None

    def linked(self) -> str:
        return (self.home / "opt/bpci").readlink().name

    def close(self) -> None:
        subprocess.run([self.home / "bin/systemctl", "stop", "x"], env=self.environment, check=False)
        shutil.rmtree(self.home / "opt", ignore_errors=True)
