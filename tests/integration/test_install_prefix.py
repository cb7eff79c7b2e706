"""The installation of the node's prefix, with a wheelhouse of two tiny wheels."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "ansible" / "roles" / "node" / "files" / "install-prefix.sh"
PYTHON = "/usr/bin/python3"


def write_wheel(directory: Path, name: str, version: str, *, command: str = "") -> str:
    """Write a wheel with one module and, on request, one command that prints the version; return its pin."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"def main():\n    print('{name} {version}')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if command:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{command} = {name}:main\n"
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text)}\n"
        for path, text in files.items()
    )
    wheel = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in (files | {f"{info}/RECORD": record + f"{info}/RECORD,,\n"}).items():
            archive.writestr(path, text)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def make_wheelhouse(directory: Path, *, project: str) -> Path:
    directory.mkdir()
    (directory / "requirements.txt").write_text(write_wheel(directory, "tinydependency", "1.0"))
    (directory / "project.txt").write_text(write_wheel(directory, "tinynode", project, command="tinynode"))
    return directory


def install(prefix: Path, wheelhouse: Path, *options: str, status: int = 0) -> tuple[str, str]:
    """Run the script and return what it said of its result, and its errors."""
    command = [str(SCRIPT), str(prefix), str(wheelhouse), "--python", PYTHON, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout.split(" ")[0], done.stderr


def run(prefix: Path, command: str = "tinynode") -> str:
    return subprocess.run([prefix / "bin" / command], capture_output=True, text=True, check=True).stdout.strip()


def test_a_new_version_stands_beside_the_old_one_and_a_repetition_changes_nothing(tmp_path: Path) -> None:
    prefix = tmp_path / "node"
    first, second = (make_wheelhouse(tmp_path / version, project=version) for version in ("1", "2"))
    assert install(prefix, first)[0] == "installed"
    assert install(prefix, first)[0] == "unchanged"
    assert run(prefix) == "tinynode 1"
    old = prefix.resolve()
    assert install(prefix, second)[0] == "installed"
    assert run(prefix) == "tinynode 2"
    assert run(old) == "tinynode 1"  # a process that still runs from it keeps its files
    assert (prefix / ".complete").read_text() == (
        f"python {PYTHON}\n" + (second / "requirements.txt").read_text() + (second / "project.txt").read_text()
    )


def test_a_marker_that_a_power_cut_has_emptied_is_written_again(tmp_path: Path) -> None:
    prefix, wheelhouse = tmp_path / "node", make_wheelhouse(tmp_path / "wheels", project="1")
    install(prefix, wheelhouse)
    marker, python = prefix / ".complete", prefix / "bin/python3"
    whole, inode = marker.read_text(), python.lstat().st_ino
    marker.write_text("")
    assert install(prefix, wheelhouse)[0] == "installed"
    assert (marker.read_text(), python.lstat().st_ino) == (whole, inode)  # nothing else was touched
    assert install(prefix, wheelhouse)[0] == "unchanged"


def test_dependencies_that_are_there_are_taken_over(tmp_path: Path) -> None:
    prefix = tmp_path / "node"
    wheelhouse = make_wheelhouse(tmp_path / "wheels", project="1")
    assert install(prefix, wheelhouse, "--deps-only")[0] == "installed"
    before = (prefix / "lib").stat().st_ino
    assert not (prefix / "bin" / "tinynode").exists()
    (wheelhouse / "tinydependency-1.0-py3-none-any.whl").unlink()  # it is not needed a second time
    assert install(prefix, wheelhouse)[0] == "installed"
    assert (prefix / "lib").stat().st_ino == before
    assert run(prefix) == "tinynode 1"
    assert [path.name for path in tmp_path.glob("node-*")] == [prefix.resolve().name]


def test_a_wheel_that_was_tampered_with_is_refused_and_the_old_version_stays(tmp_path: Path) -> None:
    prefix = tmp_path / "node"
    install(prefix, make_wheelhouse(tmp_path / "good", project="1"))
    bad = make_wheelhouse(tmp_path / "bad", project="2")
    with zipfile.ZipFile(bad / "tinynode-2-py3-none-any.whl", "a") as archive:
        archive.writestr("evil.py", "")
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in install(prefix, bad, status=1)[1]
    assert run(prefix) == "tinynode 1"


@pytest.mark.parametrize("missing", ["requirements.txt", "project.txt"])
def test_a_directory_that_is_no_wheelhouse_is_a_wrong_call(tmp_path: Path, missing: str) -> None:
    wheelhouse = make_wheelhouse(tmp_path / "wheels", project="1")
    (wheelhouse / missing).unlink()
    assert f"holds no {missing}" in install(tmp_path / "node", wheelhouse, status=2)[1]


def test_a_prefix_that_somebody_else_made_is_left_alone(tmp_path: Path) -> None:
    prefix = tmp_path / "node"
    prefix.mkdir()
    wheelhouse = make_wheelhouse(tmp_path / "wheels", project="1")
    assert "not a link made by this script" in install(prefix, wheelhouse, status=2)[1]


def test_a_version_can_be_put_beside_without_anything_else_changing(tmp_path: Path) -> None:
    prefix = tmp_path / "node"
    first, second = (make_wheelhouse(tmp_path / version, project=version) for version in ("1", "2"))
    install(prefix, first)
    old = prefix.resolve()
    assert install(prefix, second, "--beside")[0] == "installed"
    assert install(prefix, second, "--beside")[0] == "unchanged"
    assert prefix.resolve() == old
    assert run(prefix) == "tinynode 1"
    (beside,) = (path for path in tmp_path.glob("node-*") if path != old)
    assert run(beside) == "tinynode 2"
