"""Wallet files: what opens them, what does not, and what a hostile one may cost."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.errors import BpciError
from bpci_node.host import wallet_file
from bpci_node.host.wallet_directory import WalletDirectory
from bpci_node.host.wallet_file import KEY, Cost, OpenWallet, open_wallet, read_header, seal_wallet, wallet_of_phrase
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.keys import LocalSigner, derive_keys

ROOT = Path(__file__).parents[3]
PHRASE = "abandon " * 23 + "art"
PASSPHRASE = "correct horse battery"
CHEAP = Cost(8 * 1024, 1, 1)


def code_of(call, *arguments):
    with pytest.raises(BpciError) as caught:
        call(*arguments)
    assert "horse" not in repr(caught.value) + str(caught.value.as_problem())
    return caught.value.code


@pytest.fixture(scope="module")
def sealed():
    return seal_wallet(wallet_of_phrase(PHRASE), PASSPHRASE, random=os.urandom, cost=CHEAP)


def with_header(data, **changes):
    """The file with another header that its digest fits, as somebody would write who means harm."""
    outer = decode(data)
    outer["header"] = encode(decode(outer["header"]) | changes)
    outer["digest"] = wallet_file._digest(outer["header"], outer["sealed"])
    return encode(outer)


def test_a_phrase_comes_back_and_signs_with_the_owner_s_key(sealed):
    found = open_wallet(sealed, PASSPHRASE)
    assert found.phrase == PHRASE
    assert (
        found.signer.public_key == LocalSigner(derive_keys(PHRASE).owner).public_key == read_header(sealed).public_key
    )
    assert "abandon" not in repr(found)
    assert bytes(32) not in sealed


def test_a_single_key_comes_back_and_has_no_words():
    data = seal_wallet(OpenWallet(KEY, bytes([7]) * 32), PASSPHRASE, random=os.urandom, cost=CHEAP)
    found = open_wallet(data, PASSPHRASE)
    assert found.signer.public_key == LocalSigner(bytes([7]) * 32).public_key
    assert code_of(lambda: found.phrase) == "keystore.no_phrase"


def test_the_default_cost_is_that_of_rfc_9106(sealed):
    data = seal_wallet(wallet_of_phrase(PHRASE), PASSPHRASE, random=os.urandom)
    header = decode(decode(data)["header"])
    assert (header["memory_kib"], header["passes"], header["lanes"]) == (65_536, 3, 4)
    assert open_wallet(data, PASSPHRASE) == open_wallet(sealed, PASSPHRASE)


def test_two_files_of_one_wallet_share_no_salt(sealed):
    again = seal_wallet(wallet_of_phrase(PHRASE), PASSPHRASE, random=os.urandom, cost=CHEAP)
    assert decode(decode(again)["header"])["salt"] != decode(decode(sealed)["header"])["salt"]


def test_one_passphrase_in_two_spellings_of_unicode_is_one():
    data = seal_wallet(OpenWallet(KEY, bytes(32)), "Schlüsselbund é", random=os.urandom, cost=CHEAP)
    assert open_wallet(data, "Schlu\u0308sselbund e\u0301").secret == bytes(32)


@pytest.mark.parametrize("wrong", ["correct horse batterx", "Correct horse battery", "c", "x" * 1024])
def test_a_wrong_passphrase_says_so(sealed, wrong):
    assert code_of(open_wallet, sealed, wrong) == "keystore.passphrase"


@pytest.mark.parametrize("weak", ["", "short", "aaaaaaaaaaaaaa", "tab\there we go", "x" * 1025])
def test_a_passphrase_that_guards_nothing_is_refused(weak):
    assert code_of(lambda: seal_wallet(wallet_of_phrase(PHRASE), weak, random=os.urandom)) == "keystore.weak"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_anywhere_is_called_damage_and_not_a_wrong_passphrase(sealed, data):
    at, bit = data.draw(st.integers(0, len(sealed) - 1)), data.draw(st.integers(0, 7))
    damaged = bytearray(sealed)
    damaged[at] ^= 1 << bit
    assert code_of(open_wallet, bytes(damaged), PASSPHRASE) in ("keystore.damaged", "keystore.format")
    assert code_of(open_wallet, sealed[:at], PASSPHRASE) == "keystore.damaged"


@pytest.mark.parametrize(
    "changes",
    [{"account": "bpa1" + "a" * 32}, {"public_key": bytes(32)}, {"kind": "key"}, {"salt": bytes(16)}, {"passes": 2}],
    ids=["account", "key", "kind", "salt", "cost"],
)
def test_a_header_that_somebody_wrote_anew_opens_nothing(sealed, changes):
    assert code_of(open_wallet, with_header(sealed, **changes), PASSPHRASE) == "keystore.passphrase"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"memory_kib": 2**40}, "keystore.cost"),
        ({"memory_kib": 257 * 1024}, "keystore.cost"),
        ({"memory_kib": 1}, "keystore.cost"),
        ({"passes": 2**31}, "keystore.cost"),
        ({"passes": 0}, "keystore.cost"),
        ({"memory_kib": 256 * 1024, "passes": 5}, "keystore.cost"),
        ({"lanes": 10**6}, "keystore.cost"),
        ({"lanes": 0}, "keystore.cost"),
        ({"kdf": "none"}, "keystore.format"),
        ({"cipher": "none"}, "keystore.format"),
        ({"kind": "both"}, "keystore.format"),
        ({"salt": b""}, "keystore.format"),
        ({"extra": 1}, "keystore.format"),
        ({"v": 2}, "keystore.format"),
    ],
    ids=range(14),
)
def test_a_hostile_header_is_refused_before_it_costs_anything(sealed, changes, code):
    # A limit on the address space of another process shows that nothing of that size was even asked for.
    script = (
        "import sys, resource; from bpci_node.host.wallet_file import open_wallet\n"
        "from bpci_node.errors import BpciError\n"
        "try: open_wallet(bytes.fromhex(sys.stdin.read()), 'correct horse battery')\n"
        "except BpciError as error: print(error.code)\n"
    )
    hostile = with_header(sealed, **changes)
    if "memory_kib" not in changes:
        assert code_of(open_wallet, hostile, PASSPHRASE) == code
        return
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=hostile.hex(),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "appliance")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (200 << 20, 200 << 20)),
    )
    assert done.stdout.strip() == code


@given(st.binary(max_size=300))
def test_any_bytes_meet_our_errors_alone(data):
    assert code_of(open_wallet, data, PASSPHRASE).startswith("keystore.")


def test_a_wallet_lies_where_its_owner_alone_reads_it(tmp_path, sealed):
    wallets = WalletDirectory(tmp_path / "wallets")
    assert wallets.names() == []
    path = wallets.write("mine", sealed)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert wallets.names() == ["mine"]
    assert wallets.header("mine") == read_header(sealed)
    assert code_of(wallets.write, "mine", b"") == "keystore.exists"
    assert wallets.read("mine") == sealed
    wallets.write("mine", b"new", replace=True)
    assert wallets.read("mine") == b"new"
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["mine.wallet"]


def test_what_others_could_have_put_there_is_not_read(tmp_path, sealed):
    wallets = WalletDirectory(tmp_path)
    wallets.write("mine", sealed)
    (tmp_path / "mine.wallet").chmod(0o640)
    assert code_of(wallets.read, "mine") == "keystore.mode"
    (tmp_path / "link.wallet").symlink_to(tmp_path / "mine.wallet")
    assert code_of(wallets.read, "link") == "keystore.read"
    os.mkfifo(tmp_path / "pipe.wallet", 0o600)
    assert code_of(wallets.read, "pipe") == "keystore.mode"
    assert code_of(wallets.read, "other") == "keystore.unknown"
    for name in ("../mine", "Mine", "", "a" * 33, "mine\n"):
        assert code_of(wallets.read, name) == "keystore.name"
    (tmp_path / "plain").write_text("")
    assert code_of(WalletDirectory(tmp_path / "plain").write, "mine", sealed) == "keystore.write"


def test_every_code_is_documented_and_no_other():
    sources = [*ROOT.glob("appliance/bpci_node/host/wallet_*.py"), *ROOT.glob("appliance/bpci_node/cli/*.py")]
    raised = {code for file in sources for code in re.findall(r"\"(keystore\.[a-z_]+)\"", file.read_text())}
    table = (ROOT / "docs/spec/errors/keystore.md").read_text()
    assert set(re.findall(r"^\| `([a-z._]+)` \|", table, re.MULTILINE)) == raised
