#!/usr/bin/env bash
# Make .venv from the locked requirements, verified by hash. Done again only when a lock file or the interpreter changed.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-/usr/bin/python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "error: $python is older than Python 3.11" >&2
  echo "hint: PYTHON=/path/to/python3.11 make dev" >&2
  exit 1
}
key=$({ "$python" -VV; cat requirements/build.txt requirements/dev.txt; pwd; } | sha256sum | cut -d' ' -f1)
mkdir -p build
exec 9>build/venv.lock
flock 9
if [ "$(cat .venv/complete 2>/dev/null)" != "$key" ]; then
  echo "python environment: installing $(grep -c '^[a-zA-Z]' requirements/dev.txt) locked packages into .venv" >&2
  rm -rf .venv
  "$python" -m venv .venv
  .venv/bin/pip -q --disable-pip-version-check install --require-hashes -r requirements/build.txt
  .venv/bin/pip -q --disable-pip-version-check install --require-hashes --no-build-isolation -r requirements/dev.txt
  .venv/bin/pip -q --disable-pip-version-check install --no-deps --no-build-isolation --editable .
  echo "$key" >.venv/complete
fi
