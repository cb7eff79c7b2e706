"""``bpci wallet`` without a node: files, passphrases, addresses, and what is never shown."""

import json
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.chain.assets import create_asset
from bpci_node.chain.parameters import AssetRule
from bpci_node.chain.state import Overlay, State
from bpci_node.cli.main import main
from bpci_node.cli.receiving import shown_amount, units_of
from bpci_node.cli.sending import load_signer
from bpci_node.cli.wallet_keys import KeySource
from bpci_node.errors import BpciError, UsageError
from bpci_node.host.wallet_file import Cost
from bpci_node.primitives.derivation import derive_keys
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.wallet_address import WalletAddress

PHRASE = "abandon " * 23 + "art"
ACCOUNT = "bpa1ssnbhz35xwrlm3crsmlgdy423oa4tdic"
ADDRESS = str(WalletAddress("testnet", ACCOUNT, "asha.example", "home.example"))


@pytest.fixture
def bpci(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("bpci_node.host.wallet_file.seal_wallet.__kwdefaults__", {"cost": Cost(8 * 1024, 1, 1)})
    monkeypatch.setenv("BPCI_WALLETS", str(tmp_path / "wallets"))
    (tmp_path / "passphrase").write_text("correct horse battery\n")

    def run(*arguments, status=0):
        with pytest.raises(SystemExit) as caught:
            main(["wallet", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert (caught.value.code or 0) == status, err
        assert "correct horse" not in out + err
        assert "abandon" not in out + err
        return out if status == 0 else json.loads(err)["code"] if err.startswith("{") else err

    return run


@pytest.fixture
def opened(tmp_path):
    return ("--passphrase-file", tmp_path / "passphrase")


def test_a_wallet_of_words_goes_to_paper_and_comes_back(bpci, opened, tmp_path):
    words = tmp_path / "words"
    words.write_text(PHRASE.upper() + "\n")
    made = json.loads(bpci("import", "mine", "--phrase-file", words, *opened, "--json"))
    assert made["kind"] == "phrase"
    assert [item["name"] for item in json.loads(bpci("list", "--json"))] == ["mine"]
    bpci("export", "mine", "--out", tmp_path / "paper", *opened)
    assert (tmp_path / "paper").read_text() == PHRASE + "\n"
    bpci("export", "mine", "--as-key", "--out", tmp_path / "key", *opened)
    assert (tmp_path / "key").read_bytes() == derive_keys(PHRASE).owner
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert "cannot write" in bpci("export", "mine", "--out", tmp_path / "key", *opened, status=1)
    again = json.loads(bpci("import", "key", "--key-file", tmp_path / "key", *opened, "--json"))
    assert (again["kind"], again["account"]) == ("key", made["account"])


def test_a_passphrase_is_changed_and_the_former_opens_nothing(bpci, opened, tmp_path):
    bpci("new", "mine", "--single-key", *opened)
    other = tmp_path / "other"
    other.write_text("four quite unlike words")
    bpci("passphrase", "mine", *opened, "--new-passphrase-file", other)
    out = tmp_path / "out"
    assert "does not open" in bpci("export", "mine", "--as-key", "--out", out, *opened, status=1)
    bpci("export", "mine", "--as-key", "--out", out, "--passphrase-file", other)
    assert len(out.read_bytes()) == 32


def test_nothing_is_made_under_a_passphrase_that_guards_nothing(bpci, tmp_path):
    (tmp_path / "weak").write_text("short\n")
    assert bpci("new", "mine", "--passphrase-file", tmp_path / "weak", "--json", status=2) == "keystore.weak"
    (tmp_path / "weak").write_bytes(b"\xff" * 20)
    assert bpci("new", "mine", "--passphrase-file", tmp_path / "weak", "--json", status=2) == "usage.passphrase"
    assert bpci("new", "mine", "--json", status=2) == "usage.passphrase"
    assert json.loads(bpci("list", "--json")) == []


def test_an_address_is_checked_written_and_a_password_kept_out_of_arguments(bpci, opened):
    shown = json.loads(bpci("address", ADDRESS, "--json"))
    assert (shown["account"], shown["network"], shown["url"]) == (ACCOUNT, "testnet", "asha.example")
    terms = ("--url", "asha.example", "--at", "home.example", "--network-name", "testnet")
    assert json.loads(bpci("address", "--of", ACCOUNT, *terms, "--json"))["address"] == ADDRESS
    assert bpci("address", ADDRESS + "//sesame", "--json", status=2) == "usage.token"
    assert bpci("address", ADDRESS.replace("asha", "ashe"), "--json", status=1) == "format.wallet_check"
    assert bpci("address", "--of", ACCOUNT, "--json", status=2) == "usage.call"
    bpci("new", "mine", "--single-key", *opened)
    assert "asha.example" in bpci("address", "--wallet", "mine", *terms)


def test_a_key_comes_from_one_place(bpci, tmp_path):
    for key in ((), ("--key", tmp_path / "k", "--wallet", "mine")):
        assert bpci("retire", "--url", "a.example", *key, "--json", status=2) == "usage.call"


def test_a_guardian_s_key_may_be_a_wallet(bpci, opened, monkeypatch):
    made = json.loads(bpci("new", "guardian", "--single-key", *opened, "--json"))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(click, "prompt", lambda *_, **__: "correct horse battery")
    signer = load_signer(Path("wallet:guardian"))
    assert made["key"].endswith(repr(signer).removeprefix("LocalSigner(").removesuffix(")"))
    with pytest.raises(BpciError) as caught:
        load_signer(Path("wallet:nobody"))
    assert caught.value.code == "keystore.unknown"


def test_a_source_is_opened_once(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(bytes(32))
    path.chmod(0o600)
    source = KeySource(path)
    assert source.signer().public_key == LocalSigner(bytes(32)).public_key
    path.unlink()
    assert source.signer() is load_signer(source)
    assert "seed" not in repr(source)


def ledger_with(decimals):
    state = Overlay(State.of())
    create_asset(state, AssetRule("BPI", decimals, 2**62), 0)
    return SimpleNamespace(state=state)


@given(st.integers(1, 2**63 - 1), st.integers(0, 18))
def test_an_amount_is_written_and_read_as_the_same_number(units, decimals):
    assert units_of(ledger_with(decimals), "BPI", shown_amount(units, decimals)) == units


@pytest.mark.parametrize("text", ["", "0", "0.0", "-1", "1e3", "1,5", "1.", ".5", "1.123456789", "٣", "9" * 19, " 1"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(UsageError) as caught:
        units_of(ledger_with(8), "BPI", text)
    assert caught.value.code == "usage.amount"
