#!/usr/bin/env bash
# Install what the tests run that comes from npm into build/tools, verified by hash. Done again only when the lock changed.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'HELP'
Usage: scripts/test-tools.sh [--dry-run]
Prints the path of the local Ethereum node (anvil) that the tests start.
HELP
}

dry_run=no
for argument in "$@"; do
  case $argument in
    --help | -h) usage; exit 0 ;;
    --dry-run) dry_run=yes ;;
    *) echo "error: unknown argument '$argument'" >&2; usage >&2; exit 2 ;;
  esac
done

if [ "$(uname -m)" != x86_64 ]; then
  echo "error: the tests' Ethereum node is locked for x86_64, and this machine is $(uname -m)" >&2
  echo "hint: add the package for this machine to tests/tools/package.json and lock it with npm" >&2
  exit 1
fi
command -v npm >/dev/null || { echo "error: npm is missing; run scripts/host-setup.sh test" >&2; exit 1; }
[ "$dry_run" = no ] || { echo "would install tests/tools/package-lock.json into build/tools" >&2; exit 0; }

mkdir -p build/tools
exec 9>build/tools.lock
flock 9
if ! cmp -s tests/tools/package-lock.json build/tools/complete; then
  echo "test tools: installing the locked npm packages into build/tools" >&2
  cp tests/tools/package.json tests/tools/package-lock.json build/tools/
  # No script of a package runs: what is needed is the file that it carries.
  npm ci --prefix build/tools --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  cp tests/tools/package-lock.json build/tools/complete
fi
echo "$PWD/build/tools/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
