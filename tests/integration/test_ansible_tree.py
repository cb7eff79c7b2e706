"""The roles' own way of putting a tree of files in place, by the real ansible-playbook."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ANSIBLE = Path(__file__).parents[2] / "ansible"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "deep/er").mkdir(parents=True)
    (source / "deep/er/unit").write_text("[Unit]\n")
    (source / "run").write_bytes(b"\x7fELF\xff")
    (source / "run").chmod(0o775)
    return source


def put(source: Path, target: Path, *options: str, mode: str = "0644") -> dict[str, Any]:
    task = {"tree": {"src": f"{source}/", "dest": str(target), "mode": mode}}
    play = source.parent / "play.yml"
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    environment = os.environ | {
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_LIBRARY": str(ANSIBLE / "library"),
        "ANSIBLE_ACTION_PLUGINS": str(ANSIBLE / "action_plugins"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    command = [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", *options, play]
    done = subprocess.run(command, env=environment, umask=0o077, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)["plays"][0]["tasks"][0]["hosts"]["localhost"]
    return answer


def test_a_tree_is_put_in_place_once(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    first = put(source, target)
    assert first["changed"]
    assert sorted(first["paths"]) == [str(target / "deep/er/unit"), str(target / "run")]
    assert (target / "run").read_bytes() == b"\x7fELF\xff"
    assert {path.stat().st_mode & 0o777 for path in (target, target / "deep", target / "deep/er")} == {0o755}
    assert {path.stat().st_mode & 0o777 for path in (target / "run", target / "deep/er/unit")} == {0o644}
    assert not put(source, target)["changed"]


def test_what_somebody_changed_is_put_right_and_the_rest_left_alone(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    put(source, target, mode="preserve")
    assert (target / "run").stat().st_mode & 0o777 == 0o755
    (target / "own").write_text("somebody's")
    (target / "deep").chmod(0o700)
    (target / "run").chmod(0o600)
    unit = target / "deep/er/unit"
    unit.unlink()
    unit.symlink_to(target / "own")

    would = put(source, target, "--check", "--diff", mode="preserve")
    assert sorted(would["paths"]) == [str(unit), str(target / "run")]
    assert would["diff"][0]["after"] == "[Unit]\n"
    assert unit.is_symlink()
    assert (target / "run").stat().st_mode & 0o777 == 0o600

    assert put(source, target, mode="preserve")["paths"] == would["paths"]
    assert not unit.is_symlink()
    assert unit.read_text() == "[Unit]\n"
    assert (target / "own").read_text() == "somebody's"
    assert (target / "deep").stat().st_mode & 0o777 == 0o700
    assert (target / "run").stat().st_mode & 0o777 == 0o755
