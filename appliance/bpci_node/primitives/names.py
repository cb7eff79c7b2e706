"""The forms of the names that signed objects carry: of ledgers and of target chains."""

from __future__ import annotations

import re

_NAME = r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"
NAME_FORM = re.compile(_NAME)
"""Name of a network: 1 to 32 lower-case letters, digits and inner hyphens."""
LEDGER_ID_FORM = re.compile(_NAME + r":[0-9a-f]{64}")
"""A ledger's id: name, colon, genesis hash in lower-case hex."""
TARGET_FORM = re.compile(r"eip155:[1-9][0-9]{0,19}")
"""A target chain's id: CAIP-2, of the namespace eip155."""
