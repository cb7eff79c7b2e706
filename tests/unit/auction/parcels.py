"""Parcels that are really committed and revealed: what the tests of builders share."""

from dataclasses import dataclass

from bpci_node.auction.commit import Commit, sign_commit
from bpci_node.auction.parcel import Parcel, encode_parcel, parcel_commitment
from bpci_node.auction.reveal import Reveal, check_reveal
from bpci_node.chain.account import account_id_of
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner
from tests.unit.auction.sealed import LEDGER, TERMS, WINDOW


@dataclass(frozen=True)
class Hidden:
    """A builder's commit, and what opens it."""

    commit: Commit
    reveal: Reveal

    def opened(self, position, terms=TERMS) -> Parcel:
        seq = self.commit.window.first_seq + position
        found = check_reveal(self.reveal, self.commit, terms, LEDGER, arrival_seq=seq)
        assert isinstance(found, Parcel)
        return found


def builder(number):
    return LocalSigner(sha256(b"builder %d" % number))


def commit_parcel(raws, payment=500, *, number=1, tier=0, window=WINDOW, ledger=LEDGER):
    key, data = builder(number), encode_parcel(payment, raws)
    account, salt = account_id_of(key.public_key), sha256(b"salt" + data)
    digest = parcel_commitment(window, account, data, salt)
    commit = sign_commit(key, ledger_id=ledger, window=window, digest=digest, account=account, tier=tier)
    return Hidden(commit, Reveal(window, commit.commit_id, data, salt))


def parcel(raws, payment=500, *, position=50, number=1):
    return commit_parcel(raws, payment, number=number).opened(position)
