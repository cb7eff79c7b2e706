"""The cache of build stages: unchanged inputs are not built twice, and what broke off is never taken for done."""

from __future__ import annotations

import subprocess
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[3] / "image" / "lib.sh"
PROLOGUE = f"""
set -euo pipefail
. {LIBRARY}
cache=$PWD
make() {{ echo made >>log; echo content >"$1/file"; }}
break_off() {{ echo half >"$1/file"; exit 7; }}
"""


def shell(script: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", PROLOGUE + script],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def made(directory: Path) -> int:
    return (directory / "log").read_text().count("made")


def test_a_stage_is_made_once_for_the_same_inputs(tmp_path: Path) -> None:
    for _ in range(2):
        result = shell('stage root key1 make; cat "$result/file"', tmp_path)
        assert (result.returncode, result.stdout) == (0, "content\n")
    assert made(tmp_path) == 1
    assert "reused" in result.stderr


def test_other_inputs_make_it_again_and_drop_the_old_one(tmp_path: Path) -> None:
    shell("stage root key1 make; stage root key2 make", tmp_path)
    assert made(tmp_path) == 2
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["root-key2"]


def test_force_makes_it_again(tmp_path: Path) -> None:
    shell("stage root key1 make", tmp_path)
    shell("stage root key1 make", tmp_path, FORCE="1")
    assert made(tmp_path) == 2


def test_what_broke_off_is_made_anew(tmp_path: Path) -> None:
    assert shell("stage root key1 break_off", tmp_path).returncode == 7
    assert not (tmp_path / "root-key1").exists()
    assert shell('stage root key1 make; cat "$result/file"', tmp_path).stdout == "content\n"
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["root-key1"]


def test_a_digest_sees_content_names_modes_and_links_but_not_caches(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    file = tree / "file"
    seen = set()

    def digest() -> str:
        return shell("digest_of tree", tmp_path).stdout

    file.write_text("one")
    seen.add(digest())
    file.write_text("two")
    seen.add(digest())
    file.chmod(0o755)
    seen.add(digest())
    (tree / "link").symlink_to("file")
    seen.add(digest())
    file.rename(tree / "other")
    seen.add(digest())
    assert len(seen) == 5
    (tree / "__pycache__").mkdir()
    (tree / "__pycache__" / "module.pyc").write_text("cache")
    assert digest() in seen
