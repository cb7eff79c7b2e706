import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.errors import UsageError
from bpci_node.setup.answers import NetworkAnswers, document
from bpci_node.setup.answers_file import from_document, load, read_document, seed_keys
from tests.unit.setup.conftest import KEY, PASSWORD, PHRASE

EXAMPLE = Path(__file__).parents[3] / "docs" / "answers.example.toml"
SECRETS = (PASSWORD, "abandon", "hunter2hunter2")


def refusal(value: dict[str, Any]) -> UsageError:
    with pytest.raises(UsageError) as caught:
        from_document(value, source="answers.toml")
    error = caught.value
    assert "answers.toml" in error.message
    assert not any(secret in error.message + (error.hint or "") + str(error.details) for secret in SECRETS)
    return error


def test_the_example_in_the_documentation_is_valid(tmp_path: Path) -> None:
    answers = load(EXAMPLE)
    assert answers.node.name
    assert tomllib.loads(EXAMPLE.read_text())["v"] == 1


def test_what_is_left_out_has_a_default_but_no_secret_has(document: dict[str, Any]) -> None:
    for table in ("machine", "network", "node"):
        del document[table]
    answers = from_document(document, source="a")
    assert (answers.machine.hostname, answers.machine.keymap, answers.machine.timezone) == ("bpci-node", "us", "UTC")
    assert answers.network == NetworkAnswers()
    assert (answers.node.name, answers.node.hardware_profile) == ("bpci-node", "community")
    del document["owner"]["password"]
    assert "owner.password_hash is missing" in refusal(document).message


def test_a_plain_password_is_hashed_when_it_is_read(document: dict[str, Any]) -> None:
    owner = from_document(document, source="a").owner
    assert owner.password_hash.startswith("$y$")
    assert owner.web_password_hash == owner.password_hash
    assert PASSWORD not in repr(owner)


def test_the_web_may_have_a_password_of_its_own(document: dict[str, Any]) -> None:
    document["owner"]["web_password"] = "another good one"
    owner = from_document(document, source="a").owner
    assert owner.web_password_hash != owner.password_hash


@pytest.mark.parametrize(
    ("table", "key", "value", "named"),
    [
        ("machine", "hostname", "Attic!", "machine.hostname"),
        ("machine", "keymap", "german please", "machine.keymap"),
        ("machine", "timezone", "../../etc/passwd", "machine.timezone"),
        ("machine", "colour", "blue", "machine.colour"),
        ("network", "mode", "wifi", "network.mode"),
        ("network", "address", "192.0.2.5/24", "network.address"),
        ("owner", "name", "root", "owner.name"),
        ("owner", "password", "short", "owner.password"),
        ("owner", "password", 12345678901, "owner.password"),
        ("owner", "password", "aaaaaaaaaaaa", "owner.password"),
        ("owner", "password_hash", "hunter2hunter2", "owner.password_hash"),
        ("owner", "ssh_keys", ["ssh-dss AAAA"], "owner.ssh_keys"),
        ("owner", "ssh_keys", 'command="rm -rf /" ' + KEY, "owner.ssh_keys"),
        ("identity", "mode", "borrow", "identity.mode"),
        ("identity", "phrase", "abandon abandon", "identity.phrase"),
        ("identity", "phrase", "abandon " * 24, "identity.phrase"),
        ("identity", "mode", "create", "identity.phrase"),
        ("node", "type", "community", "node.type"),
        ("node", "capabilities", ["UPPER"], "node.capabilities"),
        ("node", "endpoints", ["ftp://x"], "node.endpoints"),
        ("node", "hardware_profile", "tiny", "node.hardware_profile"),
        ("join", "mode", "mainnet", "join.mode"),
        ("join", "name", "Home Net", "join.name"),
        ("join", "network_url", "http://192.0.2.1:8545", "join.network_url"),
        ("disk", "install_to", 7, "disk.install_to"),
    ],
)
def test_a_wrong_answer_is_named_with_file_and_key(
    document: dict[str, Any], table: str, key: str, value: Any, named: str
) -> None:
    document.setdefault(table, {})[key] = value
    assert named in refusal(document).message


def test_an_unknown_table_is_refused(document: dict[str, Any]) -> None:
    document["extra"] = {}
    assert "unknown key extra" in refusal(document).message


@pytest.mark.parametrize("missing", ["owner", "identity", "join", "v"])
def test_what_only_the_owner_can_say_must_be_there(document: dict[str, Any], missing: str) -> None:
    del document[missing]
    assert f"{missing} is missing" in refusal(document).message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"address": "192.0.2.5"}, "prefix length"),
        ({"address": "127.0.0.1/8"}, "not the address of a machine"),
        ({"address": "house"}, "prefix length"),
        ({"gateway": "198.51.100.1"}, "nothing would reach it"),
        ({"gateway": "192.0.2.5"}, "own address"),
        ({"dns": ["9.9.9"]}, "IP addresses"),
        ({"interface": "eth0; reboot"}, "network interface"),
    ],
)
def test_a_fixed_address_must_fit_together(document: dict[str, Any], change: dict[str, Any], reason: str) -> None:
    static = {"mode": "static", "interface": "eth0", "address": "192.0.2.5/24", "gateway": "192.0.2.1", "dns": []}
    document["network"] = static | change
    assert reason in refusal(document).message


def test_a_network_needs_a_file_or_an_address_but_not_both(document: dict[str, Any]) -> None:
    document["join"] = {"mode": "network"}
    assert "exactly one" in refusal(document).message
    document["join"] = {"mode": "network", "network_file": "n.json", "network_url": "http://192.0.2.1:8545"}
    assert "exactly one" in refusal(document).message


def test_what_is_kept_reads_back_equal_but_without_the_phrase(document: dict[str, Any]) -> None:
    answers = from_document(document, source="a")
    kept = answers_document(answers)
    assert "phrase" not in str(kept)
    again = from_document(kept, source="b", kept=True)
    assert again.owner == answers.owner
    assert again.identity.phrase == ""
    assert answers_document(again) == kept


def answers_document(answers: Any) -> dict[str, Any]:
    return document(answers)


def test_a_file_with_nothing_but_keys_answers_nothing() -> None:
    assert seed_keys({"v": 1, "owner": {"ssh_keys": [KEY]}}, source="a") == (KEY,)
    assert seed_keys({"v": 1, "owner": {"ssh_keys": [KEY], "name": "ada"}}, source="a") == ()
    with pytest.raises(UsageError, match=r"owner\.ssh_keys"):
        seed_keys({"v": 1, "owner": {"ssh_keys": ["nonsense"]}}, source="a")


def test_what_is_not_toml_says_where() -> None:
    with pytest.raises(UsageError, match="line 2"):
        read_document(b"v = 1\n[owner\n", source="answers.toml")
    with pytest.raises(UsageError, match="UTF-8"):
        read_document(b"\xff\xfe", source="answers.toml")
    with pytest.raises(UsageError, match="longer than"):
        read_document(b"#" * 70_000, source="answers.toml")


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "answers.toml")


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with pytest.raises(UsageError):
        from_document(read_document(data, source="a"), source="a")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["v", "machine", "network", "disk", "owner", "identity", "node", "join"]),
    st.sampled_from(["hostname", "mode", "install_to", "password", "ssh_keys", "phrase", "name", "endpoints", "dns"]),
    _VALUES,
)
def test_no_value_breaks_the_reader(table: str, key: str, value: Any) -> None:
    given_document: dict[str, Any] = {
        "v": 1,
        "owner": {"password_hash": "$6$abcdefgh$" + "a" * 86},
        "identity": {"mode": "restore", "phrase": PHRASE},
        "join": {"mode": "devnet"},
    }
    given_document[table] = {**given_document.get(table, {}), key: value} if table != "v" else value
    with suppress(UsageError):  # and nothing else
        from_document(given_document, source="a")
