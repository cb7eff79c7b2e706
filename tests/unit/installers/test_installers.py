"""What the installers say and refuse before they change anything; what they do is in tests/infra."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
INSTALLERS = ROOT / "installers"
COMMANDS = [INSTALLERS / f"{name}.sh" for name in ("dev", "community", "core")]
PHRASE = " ".join(["abandon"] * 23 + ["art"])


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def shared(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ``script`` with what the installers share, in their directory."""
    sourced = '. "$0/lib.sh"; . "$0/network.sh"; '
    return run("bash", "-c", sourced + script, INSTALLERS, *arguments)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_every_script_is_clean() -> None:
    result = run("shellcheck", *sorted(INSTALLERS.glob("*.sh")))
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=lambda path: path.stem)
def test_every_installer_explains_itself(command: Path) -> None:
    result = run(command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: installers/{command.name}")
    assert "Example: sudo installers/" in result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=lambda path: path.stem)
@pytest.mark.parametrize("option", ["--frobnicate", "--ca", "extra"])
def test_a_wrong_call_is_told_so(command: Path, option: str) -> None:
    result = run(command, option)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Usage: " in result.stderr


def test_ansible_comes_with_all_that_it_needs_and_nothing_else() -> None:
    named = re.search(r"ansible_packages='([^']+)'", (INSTALLERS / "lib.sh").read_text())
    assert named is not None
    locked = (ROOT / "requirements" / "dev.txt").read_text()
    for name in named[1].split("|"):
        assert re.search(rf"^{name}==.* \\\n    --hash=sha256:", locked, re.MULTILINE), name


@pytest.mark.parametrize(
    ("proxy", "problem"),
    [
        ("http://ada:word@192.0.2.1:3128", "could be read by everybody"),
        ("192.0.2.1:3128", "is no proxy"),
        ("http://192.0.2.1:3128 x", "is no proxy"),
    ],
    ids=["password", "no scheme", "two words"],
)
def test_a_proxy_that_would_not_serve_is_refused(proxy: str, problem: str) -> None:
    result = shared("proxy=$1; check_way_out", proxy)
    assert result.returncode == 2
    assert problem in result.stderr
    assert "word@" not in result.stderr


def test_a_proxy_is_used_for_everything_but_this_machine() -> None:
    result = shared("proxy=$1 no_proxy=example.com; reach_out; env", "http://192.0.2.1:3128")
    found = dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)
    assert found["http_proxy"] == found["https_proxy"] == "http://192.0.2.1:3128"
    assert found["no_proxy"] == "example.com,127.0.0.1,localhost,::1"


@pytest.mark.parametrize("form", ["{}", "{}\n\n", '"{}"\n[owner]\n'], ids=["plain", "lines", "hostile"])
def test_words_of_a_file_make_one_line_of_the_answers(tmp_path: Path, form: str) -> None:
    file = tmp_path / "words"
    file.write_text(form.format(PHRASE))
    answers = tomllib.loads(shared("phrase_file=$1; identity_answers", file).stdout)
    assert set(answers) == {"identity"}
    assert answers["identity"]["mode"] == "restore"
    assert answers["identity"]["phrase"].split()[:24] == PHRASE.split()


def test_without_words_a_new_identity_is_made() -> None:
    assert tomllib.loads(shared("identity_answers").stdout) == {"identity": {"mode": "create"}}


@pytest.mark.parametrize(
    ("network", "is_taken"),
    [
        ("http://192.0.2.5:8545", True),
        ("https://[2001:db8::5]:8545/", True),
        ("http://node.example.com", True),
        ('http://a"\nmode = "devnet', False),
        ("http://a b", False),
        ("/proc/self", False),
        ("/no/such/file", False),
    ],
    ids=["IPv4", "IPv6", "name", "hostile", "blank", "directory", "no file"],
)
@pytest.mark.skipif(Path("/var/lib/bpci/setup/complete").exists(), reason="this machine is a node")
def test_only_a_file_or_an_address_of_a_node_names_a_network(network: str, *, is_taken: bool) -> None:
    result = shared("network=$1 profile=dev; check_network", network)
    assert result.returncode == (0 if is_taken else 2), result.stderr


@pytest.mark.parametrize("name", ["a\\b", 'a"b', "a\nb", "x" * 64], ids=["backslash", "quote", "two lines", "long"])
@pytest.mark.skipif(Path("/var/lib/bpci/setup/complete").exists(), reason="this machine is a node")
def test_a_name_that_would_break_the_answers_is_refused(name: str) -> None:
    result = shared("network=http://192.0.2.5:8545 profile=dev node_name=$1; check_network", name)
    assert result.returncode == 2
    assert "is no name for a node" in result.stderr
