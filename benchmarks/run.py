"""``make bench``: run every benchmark, print a table for people, write ``build/bench.json`` for programs.

A benchmark is a module here with ``run() -> list[dict]``; each row is ``{name, value, unit, target, machine}``, where
``target`` is text such as ``"<= 2"`` or ``"-"``. Rows of one run are comparable with each other, not across machines.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "bench.json"


def machine() -> str:
    """Return what the figures were taken on: processor, number of cores, Python."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def main() -> int:
    """Run the benchmarks that were named, or all of them."""
    names = sorted(file.stem for file in Path(__file__).parent.glob("*.py") if file.stem not in {"run", "__init__"})
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all when none is named")
    chosen = parser.parse_args().names or names
    rows: list[dict[str, Any]] = []
    where = machine()
    for name in chosen:
        started = time.monotonic()
        print(f"{name} ...", file=sys.stderr, end=" ", flush=True)
        rows += [{**row, "machine": where} for row in importlib.import_module(f"benchmarks.{name}").run()]
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(rows, indent=1) + "\n")
    width = max(len(row["name"]) for row in rows)
    print(f"\n{where}\n")
    for row in rows:
        value = f"{row['value']:,.3g}" if row["value"] < 1000 else f"{row['value']:,.0f}"
        print(f"{row['name']:<{width}}  {value:>10} {row['unit']:<10} {row['target']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
