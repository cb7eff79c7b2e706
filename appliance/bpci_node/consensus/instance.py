"""Which instance of an identity may sign: the registered one. Any other machine with the same key only observes."""

from __future__ import annotations

from bpci_node.chain.certificate import verify_certificate
from bpci_node.errors import RefusedError


def require_registered_instance(
    certificate: bytes | None, instance: int, *, registry_key: bytes, ledger_id: str
) -> None:
    """Check that the registry's last word names this machine's instance, if it says anything.

    A clone or a restored machine is given a higher instance in its configuration, and observes until the ledger has
    raised the registered one; from the next look at the registry on, the machine with the lower one observes.

    Args:
        certificate: the registration certificate that is kept, ``None`` if the node is not registered.
        instance: as configured.
    Raises:
        RefusedError: it names another instance (``sign.instance``).
        ProofError: it is not the registry's (as :func:`verify_certificate`).
    """
    if certificate is None:
        return
    found = verify_certificate(certificate, registry_key=registry_key, ledger_id=ledger_id)
    if found.instance != instance:
        raise RefusedError(
            f"this machine is instance {instance}; instance {found.instance} of its identity is registered",
            code="sign.instance",
            hint="Only if the other machine is gone: set node.instance higher than it, and run 'bpci node register'.",
            registered=found.instance,
        )
