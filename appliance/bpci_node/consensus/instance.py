"""Which instance of an identity may sign: the registered one. Any other machine with the same key only observes."""

from __future__ import annotations

from bpci_node.chain.certificate import verify_certificate
from bpci_node.chain.registration import load_node
from bpci_node.chain.state import View
from bpci_node.errors import RefusedError


def require_registered_instance(
    state: View | None,
    certificate: bytes | None,
    *,
    account: str,
    instance: int,
    registry_key: bytes,
    ledger_id: str,
) -> None:
    """Check that this machine's instance is the registered one, if its node is registered at all.

    A clone or a restored machine is given a higher instance in its configuration, and observes until the ledger has
    raised the registered one; from that block on, the machine with the lower one observes.

    Args:
        state: after the last final block that is here, ``None`` if the ledger is not here; then the certificate counts.
        certificate: the registration certificate that is kept, if there is one.
        account: the node's.
        instance: as configured.
    Raises:
        RefusedError: another instance is registered (``sign.instance``).
        ProofError: the certificate is not the registry's (as :func:`verify_certificate`).
    """
    record = None if state is None else load_node(state, account)
    if record is not None:
        registered = record.instance
    elif certificate is not None:
        registered = verify_certificate(certificate, registry_key=registry_key, ledger_id=ledger_id).instance
    else:
        return
    if registered != instance:
        raise RefusedError(
            f"this machine is instance {instance}; instance {registered} of its identity is registered",
            code="sign.instance",
            hint="Only if the other machine is gone: set node.instance higher than it, and run 'bpci node register'.",
            registered=registered,
        )
