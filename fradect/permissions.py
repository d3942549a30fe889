"""What callers may do: permissions, and the roles that are made of them. What nobody gave is denied."""

from collections.abc import Iterable, Mapping

SCORE = "write:transactions"
READ_TRANSACTIONS = "read:transactions"
READ_CUSTOMERS = "read:customers"
READ_DECISIONS = "read:risk_decisions"
READ_WEBHOOKS = "read:webhooks"
WRITE_WEBHOOKS = "write:webhooks"
ERASE_CUSTOMERS = "erase:customers"
EXPORT_CUSTOMERS = "export:customers"
READ_RELEASES = "read:releases"
MOVE_RELEASES = "move:releases"
EVERYTHING = "*"

PERMISSIONS = (
    SCORE,
    READ_TRANSACTIONS,
    READ_CUSTOMERS,
    READ_DECISIONS,
    READ_WEBHOOKS,
    WRITE_WEBHOOKS,
    ERASE_CUSTOMERS,
    EXPORT_CUSTOMERS,
    READ_RELEASES,
    MOVE_RELEASES,
    EVERYTHING,
)

ROLES: Mapping[str, frozenset[str]] = {
    "admin": frozenset([EVERYTHING]),
    "analyst": frozenset([READ_TRANSACTIONS, READ_CUSTOMERS, READ_RELEASES]),
    "api_user": frozenset([SCORE, READ_DECISIONS]),
}


def permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """Of all these roles together; a role that is not ours gives nothing."""
    return frozenset().union(*(ROLES.get(role, frozenset()) for role in roles))
