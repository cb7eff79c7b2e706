"""The API under input that nobody meant: from its own OpenAPI document, and as broken CBOR; the node outlives it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpci_node.primitives import codec
from bpci_node.runtime.config import LimitsSection

ROOT = Path(__file__).parents[2]
T = "eip155:1"
UNLIMITED = LimitsSection(requests_per_second=1_000_000, entries_per_second=10_000_000)
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
IN_PATHS = {"target": T, "message": "commits"}
"""What stands in the place of a path's parameters."""


def takers(media_type: str) -> list[str]:
    """Return every path of the published document to which a body of this type may be posted."""
    document = json.loads((ROOT / "docs" / "openapi.json").read_text())
    return [
        path.format_map(IN_PATHS)
        for path, operations in document["paths"].items()
        if media_type in operations.get("post", {}).get("requestBody", {}).get("content", {})
    ]


@pytest.fixture
def node(start: Callable[..., Any]) -> Iterator[Any]:
    """A node process that must be alive, ready and silent about faults of its own after the test."""
    node = start(limits=UNLIMITED)
    yield node
    with node.client() as client:
        assert client.is_ready()
    assert "Traceback" not in node.log()


def fuzz(node: Any, directory: Path, seconds: int) -> None:
    document = httpx.get(f"{node.url}/openapi.json").json()
    for operations in document["paths"].values():
        for method, operation in list(operations.items()):
            del operation["responses"]["default"]  # each status that occurs must be named
            if list(operation.get("requestBody", {}).get("content", {})) == ["application/cbor"]:
                del operations[method]  # the program writes no CBOR; these have their own test below
    path = directory / "openapi.json"
    path.write_text(json.dumps(document))
    (directory / "schemathesis.toml").write_text("")
    program = Path(sys.executable).with_name("st")
    options = {
        "--url": node.url,
        "--checks": CHECKS,
        "--phases": "examples,coverage,fuzzing",
        "--max-time": str(seconds),
        "--seed": "1",
        "--warnings": "off",
    }
    found = subprocess.run(
        [
            program,
            "run",
            path,
            "--no-color",
            "--continue-on-failure",
            *(part for pair in options.items() for part in pair),
        ],
        capture_output=True,
        text=True,
        timeout=seconds + 240,
        check=False,
        cwd=directory,
    )
    assert found.returncode == 0, found.stdout[-20_000:] + found.stderr[-4_000:]


def test_whatever_the_document_allows_or_forbids_is_answered_as_it_says(node: Any, tmp_path: Path) -> None:
    fuzz(node, tmp_path, 20)


@pytest.mark.long
def test_it_still_is_after_half_an_hour(node: Any, tmp_path: Path) -> None:
    fuzz(node, tmp_path, 1_800)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.binary(max_size=64)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8) | st.integers(0, 9), inner, max_size=6)
    ),
    max_leaves=30,
)
members = st.fixed_dictionaries(
    {},
    optional={
        "v": st.just(1) | values,
        "target": st.just(T) | values,
        "raw": st.binary(max_size=200) | values,
        "raws": st.lists(st.binary(max_size=200) | values, max_size=5),
        "txids": st.lists(st.binary(min_size=32, max_size=32) | values, max_size=5),
        "entries": st.lists(st.binary(min_size=32, max_size=32) | values, max_size=5),
        "buckets": st.lists(st.binary(min_size=4, max_size=4) | values, max_size=5),
        "command": st.binary(max_size=200) | values,
        "node_key": values,
        "ledger_id": st.just("testnet:" + "0" * 64) | values,
        "txid": st.binary(min_size=32, max_size=32) | values,
        "arrival_seq": st.integers(1, 9) | values,
        "signature": st.binary(min_size=64, max_size=65) | values,
    },
)


@st.composite
def broken_cbor(draw: st.DrawFn) -> bytes:
    """Return bytes near a body that the API takes: canonical or not, cut, altered, nested, or with lengths that lie."""
    kind = draw(st.sampled_from(["canonical", "any", "cut", "altered", "nested", "lying", "noise"]))
    if kind == "noise":
        return draw(st.binary(max_size=400))
    if kind == "nested":
        return bytes([draw(st.sampled_from([0x81, 0xA1, 0x9F, 0xC6, 0xD8]))]) * draw(st.integers(1, 200_000))
    if kind == "lying":
        head = draw(st.sampled_from([0x5B, 0x7B, 0x9B, 0xBB, 0x5A, 0x9A, 0xBA]))
        length = draw(st.integers(0, 2**64 - 1))
        width = 8 if head & 1 else 4
        return bytes([head]) + (length % 256**width).to_bytes(width, "big") + draw(st.binary(max_size=40))
    data = cbor2.dumps(draw(members | values), canonical=kind == "canonical")
    if kind == "cut":
        return data[: draw(st.integers(0, len(data)))]
    if kind == "altered":
        position = draw(st.integers(0, len(data) - 1))
        return data[:position] + draw(st.binary(min_size=1, max_size=2)) + data[position + 1 :]
    return data


def throw(node: Any, examples: int) -> None:
    with httpx.Client(base_url=node.url, headers={"Content-Type": "application/cbor"}) as http:

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.sampled_from(takers("application/cbor")), broken_cbor())
        def one(path: str, body: bytes) -> None:
            answer = http.post(path, content=body)
            assert answer.status_code < 500, (path, body.hex(), answer.text)
            if answer.status_code != 200:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["code"]

        one()


def test_broken_cbor_is_refused_with_a_reason(node: Any) -> None:
    throw(node, 400)


@pytest.mark.long
def test_much_broken_cbor_is_refused_with_a_reason(node: Any) -> None:
    throw(node, 50_000)


def test_a_body_that_would_unfold_into_more_than_it_is_costs_nothing(node: Any) -> None:
    """Ten levels of a list that repeats its one item ten times, shared by references, would be ten billion items."""
    shared = b"\xd8\x1c\x8a" * 9 + b"\xf6" + b"\xd8\x1d\x00" * 81
    many = codec.encode({"v": 1, "target": T, "raws": [b""] * 5_001})
    with httpx.Client(base_url=node.url, headers={"Content-Type": "application/cbor"}, timeout=60) as http:
        for body in (shared, many, b"\x9b" + b"\xff" * 8, b"\x5b" + b"\xff" * 8):
            answer = http.post("/v1/entries/batch", content=body)
            assert answer.status_code == 400, answer.text


def test_json_that_is_nothing_but_depth_is_refused_everywhere_and_the_node_goes_on(node: Any) -> None:
    refused = set()
    with httpx.Client(base_url=node.url, headers={"Content-Type": "application/json"}, timeout=60) as http:
        for path in takers("application/json"):
            for body in (
                b"[" * 500,
                b"[" * 1_000_000,
                b'{"v":' * 150_000,
                b'{"v":' + b"[" * 9_000 + b"]" * 9_000 + b"}",
            ):
                answer = http.post(path, content=body)
                assert 400 <= answer.status_code < 500, (path, answer.text)
                assert answer.headers["content-type"] == "application/problem+json"
                if answer.json()["code"] == "format.json":
                    refused.add(path)
    # The others look at who asks before they look at what is asked.
    assert refused >= {"/v1/commands", "/v1/entries", "/v1/entries/batch", "/v1/registry/challenge"}
