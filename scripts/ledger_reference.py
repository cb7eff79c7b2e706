"""Write the reference of commands into the specification: ``PYTHONPATH=appliance python scripts/ledger_reference.py``.

What stands between two markers in ``docs/spec/ledger.md`` is made from the catalog of commands and the tables of
parameters and wallets; a test compares.
"""

from __future__ import annotations

from pathlib import Path

from bpci_node.chain.catalog import KINDS
from bpci_node.chain.forms import specs_of
from bpci_node.chain.kinds import Kind
from bpci_node.chain.parameters import PARAMETERS
from bpci_node.chain.wallets import WALLETS

FILE = Path(__file__).resolve().parents[1] / "docs/spec/ledger.md"
BEGIN, END = "<!-- commands: made by scripts/ledger_reference.py -->\n", "<!-- end of commands -->\n"


def reference() -> str:
    """Return the part of the specification that is made."""
    parts = ["## Governed parameters", _parameters(), "## Governance wallets", _wallets(), "## Commands by kind"]
    return "\n\n".join([*parts, *(_kind(kind) for kind in KINDS.values())]) + "\n"


def _parameters() -> str:
    lines = ["| name | range | default | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {rule.low:,} to {rule.high:,} | {rule.default:,} | {rule.doc} |"
        for name, rule in PARAMETERS.items()
    ]
    return "\n".join(lines)


def _wallets() -> str:
    lines = ["| name | account |", "|---|---|", *(f"| `{name}` | `{account}` |" for name, account in WALLETS.items())]
    return "\n".join(lines)


def _kind(kind: Kind) -> str:
    notes = [f"Known since version {kind.since}"]
    notes += ["free of the least fee"] if kind.is_free else []
    notes += ["guardians sign it besides the sender"] if kind.takes_approvals else []
    parts = [f"### `{kind.name}`", f"{kind.summary} {'; '.join(notes)}.", _body(kind)]
    rules = ["| holds, or the command is refused | code |", "|---|---|"]
    rules += [f"| {text} | `{code}` |" for code, text in kind.rules]
    events = ", ".join(f"`{event}`" for event in kind.events)
    return "\n\n".join([*parts, "\n".join(rules), f"Effects: {kind.effects} Events: {events}."])


def _body(kind: Kind) -> str:
    specs = specs_of(kind.body)
    if not specs:
        return "The body is `{}`."
    lines = ["| field | holds | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {spec.form.described} | {spec.doc} |" for name, spec in specs.items()]
    return "\n".join(lines)


def updated(text: str) -> str:
    """Return the specification with its made part replaced."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{reference()}\n{END}{after}"


if __name__ == "__main__":
    FILE.write_text(updated(FILE.read_text(encoding="utf-8")), encoding="utf-8")
