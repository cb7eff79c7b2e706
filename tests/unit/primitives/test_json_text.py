"""JSON from outside: what is read, what is refused, and that no input ends the process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.errors import FormatError
from bpci_node.primitives.json_text import MAX_DEPTH, read_json

ROOT = Path(__file__).parents[3]
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def refusal(data, **options):
    with pytest.raises(FormatError) as caught:
        read_json(data, **({"max_bytes": 1 << 20} | options))
    return caught.value.code


@settings(max_examples=500)
@given(values, st.sampled_from([None, 1]))
def test_what_was_written_is_read(value, indent):
    for ascii_alone in (True, False):
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_alone).encode("utf-8", "surrogatepass")
        assert read_json(text, max_bytes=len(text)) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"]",
        b"[}",
        b'"',
        b'"\\',
        b'{"a":1,"a":1}',
        b'[{"a":{"b":1,"b":2}}]',
        b"NaN",
        b"[-Infinity]",
        b"1.0",
        b"1e3",
        b"1 2",
        b"\xff",
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b"1" * 5000,
        b'"a\nb"',
    ],
)
def test_other_text_is_refused(data):
    assert refusal(data) == "format.json"


def test_fractions_are_read_where_they_are_asked_for_and_nothing_else_besides():
    assert read_json(b"[1.5, 1e3]", max_bytes=99, allow_fractions=True) == [1.5, 1000]
    assert refusal(b"[NaN]", allow_fractions=True) == "format.json"


def test_the_bound_on_size_is_exact():
    assert read_json(b"[1]", max_bytes=3) == [1]
    assert refusal(b"[1]", max_bytes=2) == "format.size"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"]}":', b"}]")])
def test_the_bound_on_depth_is_exact(opening, closing):
    levels = MAX_DEPTH // (opening.count(b"[") + opening.count(b"{"))
    deepest = opening * levels + b"0" + closing * levels
    assert read_json(b" " + deepest + b"\n", max_bytes=len(deepest) + 2) == json.loads(deepest)
    assert refusal(b"[" + deepest + b"]") == "format.json"


def test_width_is_no_depth_and_brackets_in_strings_are_none():
    wide = [[[]] * 3, "[" * 5000, {'\\"{': ["\\", '"[[[']}] * 500
    text = json.dumps(wide).encode()
    assert read_json(text, max_bytes=len(text)) == wide


ATTACK = r"""
import sys
from pathlib import Path
from starlette.requests import Request
from bpci_node.chain.did import read_document
from bpci_node.errors import BpciError
from bpci_node.gateway.body import decode_body
from bpci_node.host.report import read_challenge
from bpci_node.network.file import parse
from bpci_node.network.transport import Reply, Transport
from bpci_node.network.wire import JSON, PROBLEM
from bpci_node.primitives.codec import decode
from bpci_node.primitives.sdjwt import encode_bytes, parse as parse_sdjwt
from bpci_node.primitives.json_text import read_json

sys.setrecursionlimit(100_000)  # as libraries for pairings do
request = Request({"type": "http", "headers": [(b"content-type", b"application/json")]})
transport = Transport("http://127.0.0.1:1")
reply = lambda media_type, status: lambda data: transport.decode(Reply(status, media_type, data, 0.0, 0.0))
readers = {
    "body": lambda data: decode_body(request, data),
    "challenge": read_challenge,
    "codec": decode,
    "document": lambda data: read_document(data, "did:web:town.example"),
    "network": parse,
    "problem": reply(PROBLEM, 400),
    "reply": reply(JSON, 200),
    "sdjwt": lambda data: parse_sdjwt(".".join([encode_bytes(data)] * 2 + ["AA"]) + "~"),
    "text": lambda data: read_json(data, max_bytes=1 << 20),
}
count = int(sys.argv[1])
hostile = [b"[" * count, b'{"a":' * count, b'{"a":' + b"[" * count + b"]" * count + b"}", b'["' + b'\\"' * count]
for name, read in readers.items():
    codes = []
    for data in hostile:
        try:
            read(data)
        except BpciError as error:
            codes.append(error.code)
    print(name, *codes)
"""


@pytest.mark.parametrize("count", [5_000, 120_000])
def test_no_nesting_ends_the_process_wherever_json_comes_in(count):
    """In a process of its own, whose recursion limit is raised: there the decoder itself would crash."""
    done = subprocess.run(
        [sys.executable, "-c", ATTACK, str(count)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "appliance")},
    )
    assert done.returncode == 0, done.stderr
    told = {line.split()[0]: set(line.split()[1:]) for line in done.stdout.splitlines()}
    assert all(len(line.split()) == 5 for line in done.stdout.splitlines()), done.stdout
    assert told.pop("body") <= {"format.json", "limit.body"}
    assert told.pop("text") <= {"format.json", "format.size"}
    assert told == {
        "challenge": {"format.cbor", "format.challenge"},
        "codec": {"format.cbor"},
        "document": {"format.did_document"},
        "network": {"format.network_file"},
        "problem": {"unreachable.not_a_node"},
        "reply": {"unreachable.not_a_node"},
        "sdjwt": {"format.sdjwt"},
    }
