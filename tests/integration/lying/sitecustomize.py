"""Makes the notary of a node lie; on the path of those processes alone that a test starts so.

It votes for digests that nobody proposed, lists no reveal, and hands none on.
"""

import logging

from bpci_node.auction.reveal_receipt import RevealList, sign_list
from bpci_node.primitives.hashing import sha256
from bpci_node.runtime import notary, reveal_desk

_answer = notary.Notary.answer


async def _lie(self, path, body):
    told = await _answer(self, path, body)
    if "vote" in told:
        logging.getLogger("bpci.auction").warning("lied about %s", path)
        told["vote"] = self._keys.bls.sign(sha256(told["vote"]))
    if "list" in told:
        true = RevealList.decode(told["list"])
        told["list"] = sign_list(
            self._keys.node,
            ledger_id=true.ledger_id,
            epoch=true.epoch,
            window=true.window,
            set_digest=true.set_digest,
            seat=true.seat,
            revealed=bytes(len(true.revealed)),
        ).encode()
        told["reveals"] = []
    return told


def _keep_to_itself(*_):
    """Hand no reveal on."""


notary.Notary.answer = _lie
reveal_desk.RevealDesk._hand_over = _keep_to_itself
