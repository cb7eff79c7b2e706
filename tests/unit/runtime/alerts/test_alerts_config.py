from __future__ import annotations

import json
from pathlib import Path

import pytest

from bpci_node.errors import FormatError, UsageError
from bpci_node.runtime.alerts.config import AlertsConfig, load, parse, receiver_id
from bpci_node.runtime.alerts.rendering import alertmanager_config, read_relay_config, relay_config

ROOT = Path(__file__).parents[4]
EXAMPLE = ROOT / "ansible/roles/monitoring/files/usr/share/bpci/monitoring/alerts.toml.example"
MAIL = 'v = 1\n[[mail]]\nname = "owner"\nto = ["a@b.example"]\nfrom = "n@b.example"\nserver = "smtp.b.example"\n'
HOOK = 'v = 1\n[[webhook]]\nname = "chat"\nurl = "https://chat.example/x"\n'


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def filled(tmp_path: Path) -> AlertsConfig:
    """Return the example that the role ships, with its secrets in place."""
    text = EXAMPLE.read_text().replace("/etc/bpci/alerts", str(tmp_path))
    private(tmp_path / "mail.password", "canary-password\n")
    private(tmp_path / "ntfy.token", "canary-token\n")
    return load(private(tmp_path / "alerts.toml", text))


def test_the_example_that_is_shipped_is_read(tmp_path: Path) -> None:
    config = filled(tmp_path)
    assert [receiver_id(item) for item in config.receivers] == [
        "mail:owner",
        "webhook:chat",
        "ntfy:phone",
        "dead-man:switch",
    ]
    assert config.mail[0].password == "canary-password"


def test_alertmanager_never_sees_an_address_or_a_secret(tmp_path: Path) -> None:
    rendered = alertmanager_config(filled(tmp_path))
    for word in (b"canary", b"example", b"topic"):
        assert word not in rendered
    names = [item["name"] for item in json.loads(rendered)["receivers"]]
    assert names[:3] == ["nobody", "mail:owner", "test/mail:owner"]


def test_the_configuration_that_the_role_ships_tells_nobody() -> None:
    config = AlertsConfig(repeat_hours=12)
    shipped = (EXAMPLE.parent / "alertmanager.yml").read_bytes()
    assert shipped.removeprefix(b"---\n") == alertmanager_config(config)
    assert (EXAMPLE.parent / "relay.json").read_bytes() == relay_config(config)


def test_the_relay_reads_what_was_written_for_it(tmp_path: Path) -> None:
    config = filled(tmp_path)
    assert read_relay_config(relay_config(config)) == {receiver_id(item): item for item in config.receivers}


@pytest.mark.parametrize("data", [b"", b"[]", b'{"v":2,"receivers":{}}', b'{"v":1,"receivers":{"a":{"kind":"pager"}}}'])
def test_the_relay_refuses_another_list(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        read_relay_config(data)
    assert caught.value.code == "format.alerts"


def test_what_is_less_urgent_is_not_sent(tmp_path: Path) -> None:
    routes = json.loads(alertmanager_config(filled(tmp_path)))["route"]["routes"]
    wanted = {route["receiver"]: route["matchers"] for route in routes[2:]}
    assert wanted == {
        "mail:owner": ['severity=~"warning|critical"'],
        "webhook:chat": ['severity=~"critical"'],
        "ntfy:phone": ['severity=~"warning|critical"'],
    }


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("v = 2\n", "config.value", "v must be"),
        ("v = 1\nx = 1\n", "config.key", "unknown key x"),
        (MAIL + 'port = "25"\n', "config.value", "port"),
        (MAIL.replace('"a@b.example"', ""), "config.value", "to must be"),
        (MAIL.replace("a@b.example", "a@b.example\\nBcc: c@d.example"), "config.value", "to must be"),
        (MAIL + 'user = "u"\n', "config.value", "password_file"),
        (HOOK.replace("https://chat.example/x", "https://u:p@chat.example/x"), "config.value", "url"),
        (HOOK.replace("https:", "ftp:"), "config.value", "url"),
        (HOOK.replace('"chat"', '"Chat"'), "config.value", "name"),
        (HOOK + HOOK.removeprefix("v = 1\n"), "config.value", "names differ"),
        ("v = 1\n[dead_man]\n", "config.key", "dead_man.url"),
        ("v = \n", "config.syntax", "TOML"),
        ("v = 1\nrepeat_hours = 0\n", "config.value", "repeat_hours"),
    ],
)
def test_a_wrong_file_is_refused_by_its_key(text: str, code: str, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text.encode(), source="alerts.toml")
    assert caught.value.code == code
    assert word in caught.value.message


def test_no_secret_goes_to_another_machine_in_clear_text(tmp_path: Path) -> None:
    secret = private(tmp_path / "secret", "canary\n")
    hook = HOOK.replace("https:", "http:") + f'token_file = "{secret}"\n'
    mail = MAIL + f'user = "u"\npassword_file = "{secret}"\nsecurity = "none"\n'
    for text in (hook, mail):
        with pytest.raises(UsageError) as caught:
            parse(text.encode(), source="alerts.toml")
        assert caught.value.code == "config.value"
        assert "canary" not in str(caught.value.as_problem())
    parse(hook.replace("chat.example", "127.0.0.1").encode(), source="alerts.toml")


def test_files_that_others_may_read_are_refused(tmp_path: Path) -> None:
    file = private(tmp_path / "alerts.toml", HOOK)
    file.chmod(0o640)
    with pytest.raises(UsageError) as caught:
        load(file)
    assert caught.value.code == "alerts.file"
    secret = private(tmp_path / "secret", "canary\n")
    secret.chmod(0o604)
    with pytest.raises(UsageError) as caught:
        parse((HOOK + f'token_file = "{secret}"\n').encode(), source="alerts.toml")
    assert caught.value.code == "alerts.secret"


@pytest.mark.parametrize("content", ["", "two\nlines\n", "ü\n", "x" * 5000])
def test_a_secret_is_one_line_of_text(tmp_path: Path, content: str) -> None:
    secret = private(tmp_path / "secret", content)
    with pytest.raises(UsageError) as caught:
        parse((HOOK + f'token_file = "{secret}"\n').encode(), source="alerts.toml")
    assert caught.value.code == "alerts.secret"
