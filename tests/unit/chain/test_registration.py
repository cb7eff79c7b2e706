import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.catalog import KINDS
from bpci_node.chain.endpoint import is_endpoint
from bpci_node.chain.registration import NODE_TYPES
from bpci_node.errors import FormatError


@pytest.mark.parametrize("node_type", NODE_TYPES)
def test_a_registration_is_read_as_it_was_written(world, node_type):
    body = world.registration(node_type=node_type)
    assert KINDS["registry.register_node"].read(body).as_body() == body


CHANGES = [
    {"node_type": "miner"},
    {"node_type": "bpi-community\n"},
    {"node_type": None},
    {"node_key": bytes(31)},
    {"node_key": "0x00"},
    {"flags": {}},
    {"flags": None},
    {"flags": {"app_hosting": 1, "validator": False, "bank_sponsored": False, "community_operated": False}},
    {
        "flags": {
            "app_hosting": True,
            "validator": False,
            "bank_sponsored": False,
            "community_operated": False,
            "x": True,
        }
    },
    {"capabilities": ["a"] * 2},
    {"capabilities": ["Auction"]},
    {"capabilities": [""]},
    {"capabilities": ["a" * 41]},
    {"capabilities": ["\u0430uction"]},  # with a Cyrillic letter
    {"capabilities": [f"c{number}" for number in range(17)]},
    {"capabilities": "a"},
    {"capabilities": [1]},
    {"endpoints": ["ftp://192.0.2.5"]},
    {"endpoints": ["http://192.0.2.5"] * 2},
    {"endpoints": [f"http://192.0.2.{number}" for number in range(9)]},
    {"endpoints": ["http://node.example.org/" + "a" * 200]},
    {"endpoints": {}},
    {"report_digest": bytes(33)},
    {"challenge": b""},
    {"challenge": bytes(513)},
    {"challenge_sig": bytes(63)},
    {"instance": -1},
    {"instance": 2**31},
    {"instance": True},
    {"stake": 5},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_registration_outside_its_form_is_refused(world, refused, change):
    body = world.registration() | change
    with pytest.raises(FormatError) as caught:
        KINDS["registry.register_node"].read(body)
    assert caught.value.code == "format.body"
    refused(world.machine(), world.signed(body=body), "format.body")


@pytest.mark.parametrize(
    "name", ["node_type", "node_key", "flags", "capabilities", "endpoints", "challenge", "instance"]
)
def test_a_registration_without_a_field_is_refused_by_name(world, name):
    body = world.registration()
    del body[name]
    with pytest.raises(FormatError, match=repr(name)):
        KINDS["registry.register_node"].read(body)


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.5:8545",
        "https://node.example.org",
        "https://node.example.org/",
        "https://node.example.org:443/a/b-c_d.e~f",
        "http://localhost:1",
        "http://xn--bcher-kva.example",
        "http://[2001:db8::5]:8545/v1",
        "http://[::1]",
        "http://[::]",
        "http://[1:2:3:4:5:6:7:8]",
        "http://0.0.0.0",
        "http://255.255.255.255:65535",
    ],
)
def test_urls_of_the_strict_form_are_endpoints(url):
    assert is_endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "http:///path",
        "HTTP://node.example.org",
        "http://Node.example.org",
        "http://node.example.org:0",
        "http://node.example.org:080",
        "http://node.example.org:65536",
        "http://node.example.org:99999",
        "http://node.example.org:",
        "http://user@node.example.org",
        "http://user:password@node.example.org",
        "http://node.example.org?query",
        "http://node.example.org/#part",
        "http://node.example.org/%41",
        "http://node.example.org/a b",
        "http://node.example.org/\n",
        "http://node.ex\u0430mple.org",  # with a Cyrillic letter
        "http://bücher.example",
        "http://-node.example",
        "http://node-.example",
        "http://node..example",
        "http://.example",
        "http://example.",
        "http://" + "a" * 64 + ".example",
        "http://256.0.0.1",
        "http://1.2.3",
        "http://1.2.3.4.5",
        "http://01.2.3.4",
        "http://0x7f.0.0.1.",
        "http://2130706433",
        "http://example.123",
        "http://[]",
        "http://[:]",
        "http://[1]",
        "http://[1:2:3:4:5:6:7:8:9]",
        "http://[1::2::3]",
        "http://[:::]",
        "http://[12345::]",
        "http://[::ffff:192.0.2.1]",
        "http://[1:2:3:4:5:6:7:8::]",
        "http://[fe80::1%eth0]",
        "http://[2001:DB8::5]",
        "ws://node.example.org",
        "javascript:alert(1)",
        "http://node.example.org/" + "a" * 200,
    ],
)
def test_other_urls_are_not(url):
    assert not is_endpoint(url)


@settings(max_examples=500)
@given(st.text(max_size=60) | st.text("htps:/.[]0123456789abcdef-", max_size=60))
def test_any_text_is_an_endpoint_or_is_not(text):
    assert is_endpoint(text) in {True, False}
    assert is_endpoint("http://" + text) in {True, False}
