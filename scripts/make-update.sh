#!/usr/bin/env bash
# Make release keys and signed update bundles (docs/spec/update-bundle.md). The private key stays wherever its owner keeps it.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/make-update.sh key NAME --out DIR
       scripts/make-update.sh successor --key FILE --next FILE --out FILE
       scripts/make-update.sh bundle [WHEELHOUSE] --key FILE --sequence N --platform NAME --out FILE [OPTION]...
  key        make a release key: DIR/NAME.secret (private, never on a node) and DIR/NAME.release-key
  successor  let one key name another one its successor
  bundle     sign a wheelhouse; without one, scripts/wheelhouse.sh makes it from this tree first
"scripts/make-update.sh bundle --help" lists every option.
Example:
  scripts/make-update.sh key bpci-2026 --out ~/release-keys
  scripts/make-update.sh bundle --key ~/release-keys/bpci-2026.secret --sequence 2 --platform debian-12-x86_64 \
    --out bpci-0.2.0.update
HELP
}

case ${1:-} in
  --help | -h) usage; exit 0 ;;
  key | successor | bundle) ;;
  *) usage >&2; exit 2 ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
arguments=("$@")
if [ "$1" = bundle ] && [[ ${2:-} == --* ]] && [ "${2:-}" != --help ]; then
  "$root/scripts/wheelhouse.sh" "$root/build/wheelhouse"
  arguments=(bundle "$root/build/wheelhouse" "${@:2}")
fi
PYTHONPATH=$root/appliance exec "$root/.venv/bin/python" "$root/scripts/make_update.py" "${arguments[@]}"
