"""Write ``docs/spec/vectors/identity.json``: ``PYTHONPATH=appliance python scripts/make_identity_vectors.py``.

A credential, a presentation, a DID document and names, all from keys and salts that are written there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bpci_node.chain.account import account_id_of
from bpci_node.chain.credential import credential_id
from bpci_node.chain.did import key_document
from bpci_node.chain.label import skeleton
from bpci_node.chain.presentation import credential_claims
from bpci_node.primitives import sdjwt
from bpci_node.primitives.keys import LocalSigner, did_of

FILE = Path(__file__).resolve().parents[1] / "docs/spec/vectors/identity.json"
NAMES = ("First Bank", "F1RST-bank", "Modern Bank", "Modem Bank", "Société Générale", "Müller & Söhne", "भारतीय बैंक")


def vectors() -> dict[str, Any]:
    """Return the vectors."""
    issuer, holder = LocalSigner(bytes([1]) * 32), LocalSigner(bytes([2]) * 32)
    claims = credential_claims(
        ledger_id="vectors:" + "00" * 32,
        issuer=account_id_of(issuer.public_key),
        subject=account_id_of(holder.public_key),
        level="full",
        index=0,
        expires_ms=2_000_000_000_000,
        holder_key=holder.public_key,
    )
    hidden = [
        sdjwt.disclose(bytes([3]) * 16, "birthdate", "1990-03-01"),
        sdjwt.disclose(bytes([4]) * 16, "name", "Asha"),
    ]
    held = sdjwt.issue(issuer, did_of(issuer.public_key), claims, hidden)
    asked = sdjwt.Expectation("shop.example", "8f2c", 1_800_000_000)
    shown = sdjwt.present(held, ["birthdate"], holder, asked)
    did = did_of(holder.public_key)
    return {
        "source": "made by scripts/make_identity_vectors.py; Ed25519 signatures are deterministic (RFC 8032)",
        "issuer_seed": "01" * 32,
        "holder_seed": "02" * 32,
        "salts": {"birthdate": "03" * 16, "name": "04" * 16},
        "claims": claims,
        "credential": held.encode(),
        "credential_id": credential_id(held.jwt).hex(),
        "asked": {"audience": asked.audience, "nonce": asked.nonce, "time_s": asked.time_s},
        "presentation": shown.encode(),
        "did": did,
        "did_document": key_document(did),
        "skeletons": {name: skeleton(name) for name in NAMES},
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
