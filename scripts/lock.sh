#!/usr/bin/env bash
# Renew the lock files: the newest versions that requirements/*.in allow, each with its hashes, no index address in them.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x build/lock/bin/uv ] || { /usr/bin/python3 -m venv build/lock && build/lock/bin/pip -q install uv; }
for name in build node dev; do
  constraint=()
  [ "$name" != dev ] || constraint=(--constraint requirements/node.txt)
  build/lock/bin/uv pip compile --quiet --upgrade --generate-hashes --python-version 3.11 --no-emit-index-url \
    --no-emit-find-links --no-header --no-annotate "${constraint[@]}" -o "requirements/$name.txt" "requirements/$name.in"
done
