"""Everything that is decoded from outside, under input that somebody made up to hurt: our errors alone come out.

Each reader starts from published vectors, which are altered byte by byte, cut, spliced with one another, and, where
they are CBOR, taken apart and put together with other values. What is taken all the same has one encoding only.
"""

import io
import json
import random
from functools import cache
from pathlib import Path

import pytest

from bpci_node.auction.bundle import Bundle
from bpci_node.auction.commit import Commit, decode_commits
from bpci_node.auction.commit_receipt import CommitReceipt
from bpci_node.auction.commit_set import CommitSet
from bpci_node.auction.parcel import decode_parcel
from bpci_node.auction.reveal import Reveal, decode_reveals
from bpci_node.auction.reveal_receipt import RevealList, RevealReceipt
from bpci_node.chain.activation_token import issue_token, read_token
from bpci_node.chain.admission import Invitation, decode_invitation, invite
from bpci_node.chain.block import decode_signed_block
from bpci_node.chain.certificate import verify_certificate
from bpci_node.chain.challenge import decode_challenge, issue_challenge
from bpci_node.chain.command import decode_signed_command
from bpci_node.chain.did import read_document
from bpci_node.chain.genesis import decode_genesis
from bpci_node.consensus.archive import ArchiveBlock, read_archive, write_archive
from bpci_node.consensus.checkpoint import Checkpoint, issue_checkpoint, verify_checkpoint
from bpci_node.consensus.snapshot import Chunk, Manifest, chunk_digest, chunks_of, decode_manifest, read_chunk
from bpci_node.errors import BpciError
from bpci_node.host.figures import Figures, decode_figures
from bpci_node.host.report import claimed_key, read_challenge, verify_report
from bpci_node.network import file as network_file
from bpci_node.primitives import codec, sdjwt
from bpci_node.primitives.json_text import read_json
from bpci_node.primitives.keys import LocalSigner, did_of, public_key_of
from bpci_node.primitives.state_proof import decode_state_proof
from bpci_node.primitives.wallet_address import parse_address, parse_token

VECTORS = Path(__file__).parents[2] / "docs" / "spec" / "vectors"
REGISTRY = LocalSigner(b"\x01" * 32)
KEY = REGISTRY.public_key
TIME_MS = 1_770_000_000_000
MARKS = bytes.fromhex("0001171819 1b203b405b 607b809b9f a0bbbfc0d8 f4f6f9fbff") + rb"""\"[]{}:,~.()/<>"""
"""Heads of CBOR items, and what separates things in text."""
NAMES = (
    *(
        "auction commit",
        "auction commits",
        "auction parcel",
        "auction receipt",
        "auction reveal",
        "auction reveal list",
    ),
    *("auction reveal receipt", "auction reveals", "auction set"),
    *("activation token", "archive", "block", "bundle", "certificate", "challenge", "challenge in a file"),
    *("checkpoint", "command", "credential", "document", "genesis", "hardware figures"),
    *("hardware report", "invitation", "json", "key name"),
    *("network file", "snapshot's chunk", "snapshot's manifest", "state proof", "wallet address", "wallet token"),
)


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def binary(text):
    return bytes.fromhex(text.removeprefix("0x"))


def archive(data):
    return list(read_archive(io.BytesIO(data)))


def archived(*items):
    file = io.BytesIO()
    write_archive(file, items)
    return file.getvalue()


@cache
def readers():
    """Name to reader and samples; the reader gets bytes."""
    ledger, identity, bundles, wallets = map(vectors, ("ledger-2", "identity", "bundle", "wallet-address"))
    genesis = binary(ledger["genesis"]["cbor"])
    ledger_id = decode_genesis(genesis).ledger_id
    blocks = [binary(item["block"]) for item in ledger["blocks"]]
    commands = [binary(item) for block in ledger["blocks"] for item in block["commands"]]
    entries = sorted((binary(item["key"]), binary(item["value"])) for item in ledger["entries"])
    (chunk,) = chunks_of(entries)
    checkpoint = issue_checkpoint(REGISTRY, Checkpoint(ledger_id, 3, bytes(32)))
    manifest = Manifest(checkpoint, blocks[-1], len(entries), (Chunk(chunk_digest(chunk), len(chunk)),)).encode()
    token = issue_token(REGISTRY, ledger_id=ledger_id, node_key=KEY, now_ms=TIME_MS)
    challenge, _ = issue_challenge(REGISTRY, ledger_id=ledger_id, node_key=KEY, now_ms=TIME_MS, nonce16=bytes(16))
    invitation, _ = invite(REGISTRY, Invitation(ledger_id, bytes(16), None, TIME_MS))
    file = network_file.NetworkFile(ledger_id, binary(ledger_id.partition(":")[2]), KEY, ("http://192.0.2.5:8545",))
    did = identity["did"]
    answer = {"challenge": "0x" + challenge.hex(), "signature": "0x00"}
    addresses = [item["address"] for item in (*wallets["plain"], wallets["stamped"])]
    certificate, of_ledger = binary(bundles["certificate"]), bundles["ledger_id"]
    registry_key = public_key_of(bundles["registry_key"])
    return {
        "key name": (lambda data: public_key_of(data.decode("latin-1")), [did_of(KEY).encode()]),
        "activation token": (
            lambda data: read_token(data, registry_key=KEY, ledger_id=ledger_id, node_key=KEY),
            [token],
        ),
        "archive": (archive, [archived(decode_genesis(genesis), ArchiveBlock(blocks[0], tuple(commands[:2])))]),
        "block": (decode_signed_block, blocks),
        "bundle": (Bundle.decode, [binary(item["bundle"]) for item in bundles["bundles"]]),
        "certificate": (
            lambda data: verify_certificate(data, registry_key=registry_key, ledger_id=of_ledger),
            [certificate],
        ),
        "challenge": (decode_challenge, [challenge]),
        "challenge in a file": (read_challenge, [json.dumps(answer).encode(), codec.encode({"challenge": challenge})]),
        "checkpoint": (lambda data: verify_checkpoint(data, registry_key=KEY, ledger_id=ledger_id), [checkpoint]),
        "command": (decode_signed_command, commands),
        "credential": (
            lambda data: sdjwt.parse(data.decode("latin-1")),
            [identity["credential"].encode(), identity["presentation"].encode()],
        ),
        "document": (lambda data: read_document(data, did), [json.dumps(identity["did_document"]).encode()]),
        "genesis": (decode_genesis, [genesis]),
        "hardware figures": (decode_figures, [Figures({"memory": {"all": 7}}, TIME_MS, bytes(32)).encode()]),
        "hardware report": (
            lambda data: verify_report(data, node_key=claimed_key(data)),
            [binary(item["signed_report"]) for item in vectors("hardware")["measured"]],
        ),
        "invitation": (decode_invitation, [invitation]),
        "json": (lambda data: read_json(data, max_bytes=1 << 16), [json.dumps(identity).encode()]),
        "network file": (
            network_file.parse,
            [json.dumps(file.as_json()).encode(), codec.encode(file.as_json())],
        ),
        "snapshot's chunk": (
            lambda data: read_chunk(data, Chunk(chunk_digest(data), len(data)), after=None),
            [chunk],
        ),
        "snapshot's manifest": (decode_manifest, [manifest]),
        "state proof": (decode_state_proof, [binary(item["proof"]) for item in ledger["state_proofs"]]),
        "wallet address": (lambda data: parse_address(data.decode("latin-1")), [item.encode() for item in addresses]),
        "wallet token": (
            lambda data: parse_token(data.decode("latin-1")),
            [f"{item}//secret".encode() for item in addresses],
        ),
        **auction_readers(),
    }


def auction_readers():
    """The same for what auctions send."""
    found = vectors("auction")
    commits, receipts, reveals, acknowledged = (
        [binary(item[name]) for item in found["bids"]] for name in ("commit", "receipt", "reveal", "reveal_receipt")
    )
    return {
        "auction commit": (lambda data: Commit.from_map(codec.decode(data)), commits),
        "auction commits": (decode_commits, [codec.encode([codec.decode(item) for item in commits])]),
        "auction receipt": (CommitReceipt.decode, receipts),
        "auction set": (CommitSet.decode, [binary(found["commit_set"]["cbor"])]),
        "auction reveal": (lambda data: Reveal.from_map(codec.decode(data)), reveals),
        "auction reveals": (decode_reveals, [codec.encode([codec.decode(item) for item in reveals])]),
        "auction parcel": (decode_parcel, [binary(item["encoded"]) for item in found["parcels"]]),
        "auction reveal receipt": (RevealReceipt.decode, acknowledged),
        "auction reveal list": (RevealList.decode, [binary(found["reveal_list"]["cbor"])]),
    }


def made_up(chosen, depth):
    """A value of any form, canonical or beyond what is read."""
    match chosen.randrange(8 if depth else 6):
        case 0:
            return chosen.choice([0, 1, 23, 24, 2**31, 2**63 - 1, 2**63, 2**64 - 1, -1, -(2**63)])
        case 1:
            return chosen.randbytes(chosen.choice([0, 1, 16, 31, 32, 33, 48, 64, 100]))
        case 2:
            return chosen.choice(["", "ed25519", "did:key:z6Mk", "bpa1" + "a" * 32, "é", "\u202e", "a" * 300])
        case 3:
            return None
        case 4:
            return chosen.random() < 0.5
        case 5:
            return {}
        case 6:
            return [made_up(chosen, depth - 1) for _ in range(chosen.randrange(5))]
        case _:
            names = ("v", "command", "block", "body", "signature", "ledger_id", "kind", "x")
            return {chosen.choice(names): made_up(chosen, depth - 1) for _ in range(chosen.randrange(4))}


def replanted(chosen, value):
    """The value with one part of it removed, doubled, or something else."""
    if isinstance(value, dict) and value and chosen.random() < 0.8:
        name = chosen.choice(list(value))
        match chosen.randrange(8):
            case 0:
                return {key: item for key, item in value.items() if key != name}
            case 1:
                return value | {"extra": value[name]}
            case _:
                return value | {name: replanted(chosen, value[name])}
    if isinstance(value, list) and value and chosen.random() < 0.8:
        at = chosen.randrange(len(value))
        match chosen.randrange(4):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return [*value, value[at]]
            case _:
                return [*value[:at], replanted(chosen, value[at]), *value[at + 1 :]]
    return made_up(chosen, 3)


def altered(chosen, samples):
    """Bytes near one of the samples."""
    data = bytearray(chosen.choice(samples))
    at = chosen.randrange(len(data))
    match chosen.randrange(7):
        case 0:
            data[at] ^= 1 << chosen.randrange(8)
        case 1:
            data[at] = chosen.choice(MARKS)
        case 2:
            del data[at:]
        case 3:
            data[at : at + chosen.randrange(9)] = chosen.randbytes(chosen.randrange(9))
        case 4:
            data[at:at] = data[at : at + chosen.randrange(1, 64)]
        case 5:
            data[at:] = chosen.choice(samples)[chosen.randrange(at + 1) :]
        case _:
            try:
                return codec.encode(replanted(chosen, codec.decode(bytes(data))))
            except BpciError:
                data[at:at] = chosen.choice(MARKS).to_bytes() * chosen.choice([1, 2, 40, 3000])
    return bytes(data)


def throw(name, count, seed):
    read, samples = readers()[name]
    chosen, refused = random.Random(f"{name} {seed}"), 0  # noqa: S311 - repeatable
    for _ in range(count):
        data = altered(chosen, samples)
        try:
            found = read(data)
        except BpciError:
            refused += 1
        else:
            if hasattr(found, "encode") and type(found) is not str:
                again = found.encode()
                assert (again.encode() if type(again) is str else again) == data
    # The rest was changed within its form, or not at all.
    assert refused > count // 4


def test_every_reader_has_its_turn():
    assert sorted(readers()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_samples_are_read(name):
    read, samples = readers()[name]
    for data in samples:
        assert read(data) is not None


@pytest.mark.parametrize("name", NAMES)
def test_3000_altered_inputs_meet_our_errors_alone(name):
    throw(name, 3_000, 1)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_50000_altered_inputs_meet_our_errors_alone(name):
    throw(name, 50_000, 2)
