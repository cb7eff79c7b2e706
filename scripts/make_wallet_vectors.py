"""Write ``docs/spec/vectors/wallet-address.json``: ``PYTHONPATH=appliance:. python scripts/make_wallet_vectors.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bpci_node.chain.account import account_id_of
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.wallet_address import PREFIXES, StampedAddress, WalletAddress, parse_address

FILE = Path(__file__).resolve().parents[1] / "docs/spec/vectors/wallet-address.json"


def vectors() -> dict[str, Any]:
    """Return the vectors: addresses with their parts, and texts that are none, each with the code of its refusal."""
    account = account_id_of(LocalSigner(bytes([1]) * 32).public_key)
    plain = [WalletAddress(network, account, "asha.example", "home.asha.example/in") for network in PREFIXES]
    stamped = StampedAddress("mainnet", account, "bank", "in", "k7q2.bpci-server.net", bytes(range(32)))
    good = str(plain[0])
    wrong = {
        "another letter in the URL": (good.replace("asha.", "ashe.", 1), "format.wallet_check"),
        "another network": (good.replace("bpm1", "bpt1"), "format.wallet_check"),
        "capital letter": (good.replace("asha", "Asha", 1), "format.wallet_address"),
        "Cyrillic letter": (good.replace("asha", "аsha", 1), "format.wallet_address"),  # noqa: RUF001 - the point
        "space": (good + " ", "format.wallet_address"),
        "no wallet": ("BPI(asha.example)<>(httpcg//asha.example)", "format.wallet_address"),
        "ASCII form of another script": (good.replace("asha.", "xn--sha-5cd.", 1), "format.wallet_address"),
        "stamp without its place": (good.replace("asha.example", "bank:in", 1), "format.wallet_address"),
    }
    return {
        "source": "made by scripts/make_wallet_vectors.py",
        "account": account,
        "plain": [
            {"network": item.network, "url": item.url, "place": item.place, "address": str(item)} for item in plain
        ],
        "stamped": {
            "network": stamped.network,
            "stamp_type": stamped.stamp_type,
            "jurisdiction": stamped.jurisdiction,
            "domain": stamped.domain,
            "sealed": stamped.sealed.hex(),
            "address": str(stamped),
        },
        "refused": [{"why": why, "text": text, "code": code} for why, (text, code) in wrong.items()],
    }


def main() -> None:
    """Write the file, having read each address back."""
    found = vectors()
    for item in (*found["plain"], found["stamped"]):
        parse_address(item["address"])
    FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
