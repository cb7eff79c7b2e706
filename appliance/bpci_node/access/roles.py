"""Roles, and what each of them may do. Nothing else in the product decides this."""

from __future__ import annotations

from enum import StrEnum

from bpci_node.errors import AccessError


class Role(StrEnum):
    """What somebody who signs in is to this machine."""

    OWNER = "owner"
    OPERATOR = "operator"
    VIEWER = "viewer"


class Right(StrEnum):
    """One thing that a role may be allowed."""

    LOOK = "look"
    """See the dashboard, metrics, alerts, and read the API."""
    OPERATE = "operate"
    """Carry out the named actions: seal, drain, renew the token, silence an alert; send to the API."""
    CONSOLE = "console"
    """Use the machine's console in the browser."""
    LOG = "log"
    """Read the log of actions."""
    MANAGE = "manage"
    """Add and remove accounts, give roles, set other people's passwords."""
    UPKEEP = "upkeep"
    """Read the machine's logs; with the owner's login password repair it, change its network, restart it."""


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.OWNER: frozenset(Right),
    Role.OPERATOR: frozenset({Right.LOOK, Right.OPERATE, Right.CONSOLE, Right.LOG}),
    Role.VIEWER: frozenset({Right.LOOK}),
}


def require(role: Role, right: Right) -> None:
    """Check that ``role`` has ``right``.

    Raises:
        AccessError: it has not (``access.role``).
    """
    if right not in RIGHTS[role]:
        able = ", ".join(item.value for item in Role if right in RIGHTS[item])
        raise AccessError(
            f"the role {role.value} does not have the right to {right.value}",
            code="access.role",
            hint=f"Sign in as one who may: {able}.",
        )
