import pytest

from bpci_node.chain.certificate import issue_certificate
from bpci_node.chain.registration import FLAGS, NodeRecord, store_node
from bpci_node.chain.state import Overlay, State
from bpci_node.consensus.instance import require_registered_instance
from bpci_node.errors import ProofError, RefusedError
from bpci_node.primitives.keys import LocalSigner

REGISTRY = LocalSigner(bytes([1]) * 32)
LEDGER = "testnet:" + "0" * 64
ACCOUNT = "bpa1" + "a" * 32


def record(instance):
    flags, key = dict.fromkeys(FLAGS, False), LocalSigner(bytes([2]) * 32).public_key
    return NodeRecord(ACCOUNT, key, "hybrid", flags, (), (), bytes(32), instance, "active", 1, 1)


def certificate(instance):
    return issue_certificate(REGISTRY, LEDGER, record(instance))


def state(instance):
    overlay = Overlay(State.of())
    store_node(overlay, record(instance), version=2)
    return overlay


def require(data, instance, *, view=None, registry=REGISTRY):
    require_registered_instance(
        view, data, account=ACCOUNT, instance=instance, registry_key=registry.public_key, ledger_id=LEDGER
    )


def test_the_registered_instance_may_sign_and_so_may_who_is_not_registered():
    require(certificate(3), 3)
    require(None, 9)
    require(None, 9, view=State.of())


@pytest.mark.parametrize("instance", [0, 2, 4])
def test_any_other_instance_observes(instance):
    for data, view in ((certificate(3), None), (None, state(3)), (certificate(3), State.of())):
        with pytest.raises(RefusedError) as caught:
            require(data, instance, view=view)
        assert (caught.value.code, caught.value.details) == ("sign.instance", {"registered": 3})


def test_the_ledger_counts_before_a_certificate_that_was_kept():
    require(certificate(3), 4, view=state(4))
    with pytest.raises(RefusedError):
        require(certificate(3), 3, view=state(4))


def test_a_certificate_of_another_registry_says_nothing():
    with pytest.raises(ProofError):
        require(certificate(3), 3, registry=LocalSigner(bytes([9]) * 32))
