"""``bpci mempool status`` and ``buckets``: what waits at a node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bpci_node.cli.local import dir_option, find_node, node_option, target_option
from bpci_node.cli.output import Progress, emit, fields, json_option, table


@click.command("status")
@dir_option
@node_option
@json_option
def status(*, directory: Path | None, url: str | None, as_json: bool) -> None:
    """Show what waits at a node, per target chain: counts, limits, fees, and the roots that commit to it.

    \b
    Examples:
      bpci mempool status
      bpci mempool status --node http://192.0.2.5:8545 --json
    """
    from bpci_node.network.client import NodeClient

    with NodeClient(find_node(directory, url).url) as client:
        found = {name: client.mempool.summary(name) for name in client.status()["targets"]}
    emit(found, as_json, _render_pools)


@click.command("buckets")
@dir_option
@node_option
@target_option
@json_option
def buckets(*, directory: Path | None, url: str | None, target: str, as_json: bool) -> None:
    """List the buckets of a pool that are not empty, in the order of their keys.

    A key is region, class and fee bin, 4 bytes: what 'bpci mempool prove --bucket' takes.

    \b
    Examples:
      bpci mempool buckets
      bpci mempool buckets --target eip155:1 --node http://192.0.2.5:8545 --json
    """
    from bpci_node.network.client import NodeClient

    progress, found = Progress(), []
    with NodeClient(find_node(directory, url).url) as client:
        try:
            for bucket in client.mempool.buckets(target):
                found.append(bucket)
                progress.update(f"read {len(found)} buckets")
        finally:
            progress.finish()
    emit({"target": target, "buckets": found}, as_json, _render_buckets)


def _render_pools(pools: dict[str, Any]) -> str:
    return "\n\n".join(_render_pool(pool) for pool in pools.values())


def _render_pool(pool: dict[str, Any]) -> str:
    limits, roots = pool["limits"], pool["roots"]
    funding = {
        "checked": "checked: senders' nonces and balances are asked of the chain",
        "unchecked": "unchecked: takes entries that nobody may ever pay for",
    }
    crowded = ", crowded: nothing is cancelled now" if pool["crowded"] else ""
    return fields(
        {
            "target": pool["target"],
            "waiting": f"{pool['count']} of {limits['entries']} entries in {pool['buckets']} buckets{crowded}",
            "bytes": f"{pool['bytes']} of {limits['bytes']}",
            "funding": funding.get(pool["funding"], pool["funding"]),
            "base fee": f"{pool['base_fee_wei']} wei per gas",
            "fee to get in": f"{pool['least_fee_wei']} wei per gas",
            "gas of a bundle": pool["gas_limit"],
            "last arrival": roots["arrival_seq"],
            "last bundle": roots["sequence"] or "none",
            "mx_root": roots["mx_root"],
        }
    )


def _render_buckets(data: dict[str, Any]) -> str:
    if not data["buckets"]:
        return f"nothing waits for {data['target']}"
    rows = [
        [
            item["key"],
            item["type"],
            item["gas_class"],
            str(item["count"]),
            item["gas_sum"],
            item["min_fee_wei"],
            item["max_fee_wei"],
        ]
        for item in data["buckets"]
    ]
    return table(rows, ["bucket", "type", "gas", "entries", "gas sum", "least fee (wei)", "greatest fee (wei)"])
