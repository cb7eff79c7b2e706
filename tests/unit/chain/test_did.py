"""DID documents: derived, read, and refused."""

import json

import pytest

from bpci_node.chain.did import WEB_FORM, key_document, read_document, web_url
from bpci_node.errors import FormatError
from bpci_node.primitives.keys import LocalSigner, did_of, public_key_of

DID = "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH"
WEB = "did:web:bank.example"


def document(**changes):
    multibase = DID.removeprefix("did:key:")
    method = {"id": f"{WEB}#1", "type": "Multikey", "controller": WEB, "publicKeyMultibase": multibase}
    return {"id": WEB, "verificationMethod": [method], "assertionMethod": [f"{WEB}#1"]} | changes


def test_a_key_s_document_follows_from_its_name():
    found = key_document(DID)
    (method,) = found["verificationMethod"]
    assert found["id"] == method["controller"] == DID
    assert method["id"] == DID + "#" + DID.removeprefix("did:key:")
    assert found["assertionMethod"] == found["authentication"] == [method["id"]]
    assert read_document(json.dumps(found).encode(), DID) == (public_key_of(DID),)
    assert did_of(LocalSigner(bytes(32)).public_key) != DID


def test_a_resolved_document_names_the_keys_that_assert():
    assert read_document(json.dumps(document()).encode(), WEB) == (public_key_of(DID),)
    wrong = [document(id="did:web:other.example"), document(assertionMethod=[]), document(verificationMethod="x"), []]
    for value in [*(json.dumps(item).encode() for item in wrong), b"\xff", b"[" * 10_000, b" " * 70_000]:
        with pytest.raises(FormatError) as caught:
            read_document(value, WEB)
        assert caught.value.code == "format.did_document"


@pytest.mark.parametrize(
    ("did", "url"),
    [
        (WEB, "https://bank.example/.well-known/did.json"),
        ("did:web:bank.example:branch:1", "https://bank.example/branch/1/did.json"),
    ],
)
def test_a_web_name_says_where_its_document_is(did, url):
    assert web_url(did) == url


@pytest.mark.parametrize(
    "did",
    [
        *("did:web:localhost", "did:web:Bank.example", "did:web:bank.example%3A8443", "did:web:xn--bnk-9ia.example"),
        *("did:web:b\u0430nk.example", "did:web:bank.example:..:x", "did:web:", "did:web:192.0.2.1"),
        *("did:web:www.xn--bnk-9ia.example", "did:web:-a.example"),
    ],
)
def test_other_web_names_are_refused(did):
    assert WEB_FORM.fullmatch(did) is None
    with pytest.raises(FormatError):
        web_url(did)
