"""The support bundle holds no secret: canaries are planted everywhere, and looked for in all of it."""

import base64
import gzip
import io
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bpci_node.setup import settings, support
from bpci_node.setup.answers import Answers, NetworkAnswers
from bpci_node.setup.redaction import GONE, forms_of, redact
from bpci_node.setup.settings import settings_of
from bpci_node.setup.system import Finished
from tests.unit.setup.conftest import PASSWORD
from tests.unit.setup.simulated import SimulatedMachine

SEED = bytes(range(100, 132))
WIFI = "canary-wifi passphrase!"
TOKEN = "canary-Token-81d7c2"
WEBHOOK = "canary-webhook-password"
VARIABLE = "canary-environment-1"
PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow"
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nY2FuYXJ5LXBlbS1rZXk\n-----END OPENSSH PRIVATE KEY-----"
JOURNAL = f"""
bpci-node[7]: started with token={TOKEN} and seed {SEED.hex()}
bpci-node[7]: key {base64.b64encode(SEED).decode()} refused
wpa_supplicant[9]: trying {WIFI}
curl[8]: POST https://ada:{WEBHOOK}@hooks.example/x?token={TOKEN}&id=7
curl[8]: Authorization: Bearer abc.{TOKEN}
setup[3]: words: 1 legal 2 winner 3 thank 4 year 5 wave 6 sausage 7 worth 8 useful 9 legal
setup[3]: {PHRASE}
login[2]: hash $y$j9T$abcdefghijklmnop$0123456789abcdefghijklmnopqrstuvwxyzABCDEFG set
env: BPCI_SECRET={VARIABLE}
{PEM}
bpci-node[7]: sealed bundle 12 of eip155:1 with 1160 entries at height 7
"""
CANARIES = (
    PASSWORD, WIFI, TOKEN, WEBHOOK, VARIABLE, "sausage", "Y2FuYXJ5", "0123456789abcdefghijklmnop", SEED.hex(),
    base64.b64encode(SEED).decode(), WIFI.encode().hex(), "canary",
)  # fmt: skip


@pytest.fixture
def planted(machine: SimulatedMachine, answers: Answers) -> SimulatedMachine:
    kept = replace(
        settings_of(answers),
        network=NetworkAnswers(interface="wlan0", wifi_ssid="Attic", wifi_country="DE", wifi_passphrase=WIFI),
    )
    for name, text in {
        settings.PATH: settings.dump(kept),
        "/etc/bpci/node.toml": f'v = 1\n[api]\nport = 8545\n[faucet]\ntoken = "{TOKEN}"\n[x]\nurl = "https://ada:{WEBHOOK}@h/"\n',
        "/etc/bpci/alerts.toml": f"v = 1\n[mail]\nuser = 'ada'\npassword = '{WEBHOOK}'\n"
        '[[webhook]]\nurl = "https://hooks.example/services/canary-T0/B1?x=canary"\n'
        "[[ntfy]]\nurl = 'https://ntfy.example'\ntopic = 'canary-topic'\n[dead_man]\nurl = 'https://c.example/p/canary-5f'\n",
        "/etc/bpci/backup.toml": f'place = "x"\nrecovery_phrase = """\n{PHRASE}\n"""\nkeys = [\n "{TOKEN}"\n]\n',
        "/etc/bpci/secrets/mail-password": WEBHOOK + "\n",
        "/etc/wpa_supplicant/wpa_supplicant-wlan0.conf": f'network={{\n    psk="{WIFI}"\n}}\n',
        "/var/lib/bpci/setup/journal.json": f'{{"password_hash": "$6$abcdefgh$canary{"b" * 60}", "done": ["keys"]}}',
    }.items():
        machine.system.write(name, text, 0o600)
    machine.system.write("/etc/bpci/keys/node-key.key", SEED, 0o400)
    return machine


def with_journal(machine: SimulatedMachine) -> SimulatedMachine:
    def journalctl(_argv: Sequence[str], _stdin: bytes) -> Finished:
        return Finished(0, JOURNAL.encode(), "")

    machine._journalctl = journalctl  # type: ignore[attr-defined]
    return machine


def test_no_canary_is_in_the_bundle_and_what_helps_is(planted: SimulatedMachine, tmp_path: Path) -> None:
    machine = with_journal(planted)
    files = support.gather(machine.system, lambda: f"doctor: secret {TOKEN}", {"BPCI_TOKEN": VARIABLE, "LANG": "C"})
    path = tmp_path / "bundle.tar.gz"
    support.write(path, support.pack(files))
    assert path.stat().st_mode & 0o777 == 0o600
    raw = gzip.decompress(path.read_bytes())
    for canary in CANARIES:
        assert canary.encode() not in raw, canary
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        names = tar.getnames()
        member = tar.extractfile("bpci-support/journal/bpci.txt")
        assert member is not None
        journal = member.read().decode()
    assert "bpci-support/files/etc/bpci/node.toml" in names
    assert not any("keys/" in name or "secrets/" in name or "wpa_supplicant" in name for name in names)
    assert "sealed bundle 12 of eip155:1 with 1160 entries at height 7" in journal
    assert "port = 8545" in files["files/etc/bpci/node.toml"]
    assert 'wifi_ssid = "Attic"' in files["files/etc/bpci/settings.toml"]
    assert 'hostname = "attic"' in files["files/etc/bpci/settings.toml"]


def test_every_canary_was_really_there_before(planted: SimulatedMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "redact", lambda text, _values: text)
    files = support.gather(with_journal(planted).system, lambda: "", {})
    whole = "\n".join(files.values())
    for canary in set(CANARIES) - {PASSWORD, WIFI.encode().hex()}:
        assert canary in whole


@pytest.mark.parametrize(
    "text",
    [
        "the node finished its windows and is ready to restart now, nothing is owed",
        "http://192.0.2.7:8545/v1/status 200",
        "did:key:z6MkooDSo73dMVjrFsEfvUQjFEqYTrER5qDqTJTGkTUq44HM",
        "Filesystem Type Size Used Avail Use% Mounted on",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        'api_key = "x9x9"', "PASSWORD=x9x9", "password: x9x9 y", '"passphrase": "x9x9"', "psk=x9x9",
        "https://user:x9x9@example.org/", "Proxy-Authorization: Basic x9x9", "/login?token=x9x9&a=1",
        'tokens = ["x9x9",\n "x9x9"]', "password_hash = '$6$saltsalt$x9x9x9x9x9x9'",
    ],
)  # fmt: skip
def test_a_value_in_a_secret_place_goes(text: str) -> None:
    found = redact(text)
    assert "x9x9" not in found
    assert GONE in found


def test_short_values_are_not_looked_for_and_long_ones_in_every_form() -> None:
    assert forms_of(b"abc\n") == set()
    assert {SEED.hex(), base64.b64encode(SEED).decode(), base64.urlsafe_b64encode(SEED).decode()} <= forms_of(SEED)
    assert "second line of it" in forms_of(b"first line of it\nsecond line of it\n")
