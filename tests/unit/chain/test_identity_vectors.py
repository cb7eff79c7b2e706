import json

from bpci_node.chain.credential import credential_id
from bpci_node.primitives import sdjwt
from bpci_node.primitives.keys import LocalSigner
from scripts.make_identity_vectors import FILE, vectors


def test_the_published_vectors_are_what_the_code_makes():
    assert json.loads(FILE.read_text(encoding="utf-8")) == vectors(), "run scripts/make_identity_vectors.py"


def test_the_published_presentation_holds_for_its_verifier():
    found = json.loads(FILE.read_text(encoding="utf-8"))
    shown = sdjwt.parse(found["presentation"])
    sdjwt.verify_issuer(shown, LocalSigner(bytes.fromhex(found["issuer_seed"])).public_key)
    sdjwt.verify_binding(shown, sdjwt.Expectation(**found["asked"]))
    assert credential_id(shown.jwt).hex() == found["credential_id"]
    assert sdjwt.shown_claims(shown) == found["claims"] | {"birthdate": "1990-03-01"}
