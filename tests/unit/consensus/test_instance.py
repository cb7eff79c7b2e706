import pytest

from bpci_node.chain.certificate import issue_certificate
from bpci_node.chain.registration import FLAGS, NodeRecord
from bpci_node.consensus.instance import require_registered_instance
from bpci_node.errors import ProofError, RefusedError
from bpci_node.primitives.keys import LocalSigner

REGISTRY = LocalSigner(bytes([1]) * 32)
LEDGER = "testnet:" + "0" * 64


def certificate(instance):
    flags = dict.fromkeys(FLAGS, False)
    account, key = "bpa1" + "a" * 32, LocalSigner(bytes([2]) * 32).public_key
    record = NodeRecord(account, key, "hybrid", flags, (), (), bytes(32), instance, "active", 1, 1)
    return issue_certificate(REGISTRY, LEDGER, record)


def require(data, instance, registry=REGISTRY):
    require_registered_instance(data, instance, registry_key=registry.public_key, ledger_id=LEDGER)


def test_the_registered_instance_may_sign_and_so_may_who_is_not_registered():
    require(certificate(3), 3)
    require(None, 9)


@pytest.mark.parametrize("instance", [0, 2, 4])
def test_any_other_instance_observes(instance):
    with pytest.raises(RefusedError) as caught:
        require(certificate(3), instance)
    assert (caught.value.code, caught.value.details) == ("sign.instance", {"registered": 3})


def test_a_certificate_of_another_registry_says_nothing():
    with pytest.raises(ProofError):
        require(certificate(3), 3, LocalSigner(bytes([9]) * 32))
