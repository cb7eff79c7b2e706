"""Wallet addresses: one way to write each, and nothing else is one."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bpci_node.errors import FormatError
from bpci_node.primitives.wallet_address import (
    MAX_CHARACTERS,
    PREFIXES,
    STAMP_TYPES,
    StampedAddress,
    WalletAddress,
    parse_address,
    parse_token,
)
from scripts.make_wallet_vectors import FILE, vectors

ACCOUNT = "bpa1ssnbhz35xwrlm3crsmlgdy423oa4tdic"
PLAIN = WalletAddress("testnet", ACCOUNT, "asha.example", "home.asha.example/in")
STAMPED = StampedAddress("mainnet", ACCOUNT, "bank", "us-ny", "k7.example", bytes(17))

accounts = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=32, max_size=32).map(lambda text: "bpa1" + text)
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(
    lambda text: not text.startswith("xn--")
)
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join)
places = st.builds(lambda host, path: "/".join([host, *path]), hosts, st.lists(labels, max_size=4))
networks = st.sampled_from(sorted(PREFIXES))
plain = st.builds(WalletAddress, networks, accounts, places, places)
stamped = st.builds(
    StampedAddress,
    networks,
    accounts,
    st.sampled_from(STAMP_TYPES),
    st.from_regex(r"[a-z]{2}(-[a-z0-9]{1,3})?", fullmatch=True),
    hosts,
    st.binary(min_size=16, max_size=160),
)


def code_of(text, parse=parse_address):
    with pytest.raises(FormatError) as caught:
        parse(text)
    return caught.value.code


@given(plain | stamped)
def test_what_is_printed_is_read_back_as_it_was(address):
    text = str(address)
    assert len(text) <= MAX_CHARACTERS
    assert parse_address(text) == address
    assert str(parse_address(text)) == text


@given(plain | stamped, st.data())
def test_no_changed_character_passes(address, data):
    text = str(address)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("abz019.-:/()<>[] AÄа\u200b").filter(lambda found: found != text[at]))  # noqa: RUF001
    for changed in (text[:at] + other + text[at + 1 :], text[:at] + text[at + 1 :], text[:at] + other + text[at:]):
        if changed != text:
            assert code_of(changed) in ("format.wallet_address", "format.wallet_check")


@given(st.text(max_size=120) | st.text("BPI()<>htpcg/:[]abm1.", max_size=120))
@example("BPI(a)<bpm1" + "a" * 40 + ">(httpcg//a)")
def test_any_text_is_an_address_in_its_one_form_or_meets_our_errors_alone(text):
    try:
        found = str(parse_address(text))
    except FormatError as error:
        found = error.code
    assert found in (text, "format.wallet_address", "format.wallet_check")


@pytest.mark.parametrize("field", ["network", "account", "url", "place"])
def test_every_part_is_covered_by_the_check(field):
    other = {"network": "devnet", "account": "bpa1" + "a" * 32, "url": "b.example", "place": "b.example"}
    parts = {name: getattr(PLAIN, name) for name in other}
    changed = WalletAddress(**(parts | {field: other[field]}))
    assert changed.wallet[-8:] != PLAIN.wallet[-8:]


@pytest.mark.parametrize(
    "text",
    [
        str(PLAIN).upper(),
        str(PLAIN).replace("BPI", "bpi"),
        str(PLAIN).replace("bpt1", "bpT1"),
        " " + str(PLAIN),
        str(PLAIN).replace("(httpcg", " (httpcg"),
        str(PLAIN).replace("asha.example", "asha..example"),
        str(PLAIN).replace("asha.example", "asha.example:8545", 1),
        str(PLAIN).replace("asha.example", "-asha.example", 1),
        str(PLAIN).replace("asha.example", "a" * 129, 1),
        str(PLAIN) + "//password",
        str(PLAIN)[:-1],
        "BPI",
        "",
        "BPI(" + "a" * 700,
        str(STAMPED).replace("bank", "shop"),
        str(STAMPED).replace("us-ny", "usa"),
        str(STAMPED).replace("k7.example", "k7.example/x"),
        # 17 bytes leave four spare bits in base32: a second spelling of the same bytes is refused.
        str(STAMPED).replace("a])", "b])"),
        str(STAMPED).replace("aaaaaaaa", "", 2),
    ],
    ids=range(19),
)
def test_another_way_to_write_it_is_refused(text):
    assert code_of(text) == "format.wallet_address"


def test_a_part_outside_its_form_makes_no_address():
    for wrong in ({"network": "mars"}, {"account": "bpa1"}, {"url": "A.example"}, {"place": "a b"}):
        with pytest.raises(FormatError):
            WalletAddress(**({"network": "mainnet", "account": ACCOUNT, "url": "a", "place": "a"} | wrong))


def test_a_token_gives_its_password_and_shows_it_nowhere():
    token = parse_token(f"{PLAIN}//open )//sesame")
    assert (token.address, token.password) == (PLAIN, "open )//sesame")
    assert "sesame" not in repr(token)
    for wrong in (
        str(PLAIN),
        f"{PLAIN}//",
        f"{PLAIN}//se\nsame",
        f"{PLAIN}//" + "x" * 1025,
        f"{str(PLAIN)[5:]}//sesame",
    ):
        with pytest.raises(FormatError) as caught:
            parse_token(wrong)
        assert "sesame" not in repr(caught.value) + str(caught.value.as_problem())


def test_the_published_vectors_are_what_the_code_makes():
    found = json.loads(FILE.read_text(encoding="utf-8"))
    assert found == vectors(), "run scripts/make_wallet_vectors.py"
    for item in (*found["plain"], found["stamped"]):
        assert str(parse_address(item["address"])) == item["address"]
    for item in found["refused"]:
        assert code_of(item["text"]) == item["code"], item["why"]
