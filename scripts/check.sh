#!/usr/bin/env bash
# Run every static check, all of them even when one fails, and name those that failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
export PATH="$PWD/.venv/bin:$PATH"
failed=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

run() { # run NAME COMMAND...: quiet when it passes
  local name=$1 started=$SECONDS
  shift
  if "$@" >"$log" 2>&1; then
    printf '%-16s ok (%d s)\n' "$name" $((SECONDS - started))
  else
    printf '%-16s FAILED\n' "$name"
    sed 's/^/    /' "$log"
    failed+=("$name")
  fi
}
shell_files() { git ls-files -z --cached --others --exclude-standard | xargs -0 grep -lZ -m1 -E '^#(!.*\b(ba|da)?sh\b| shellcheck shell=)' -- 2>/dev/null | sort -z; }

run ruff ruff check .
run format ruff format --check .
run mypy mypy
run imports env PYTHONPATH=appliance lint-imports
run yamllint yamllint --strict .
run ansible-lint env ANSIBLE_LIBRARY=ansible/library ANSIBLE_ACTION_PLUGINS=ansible/action_plugins ansible-lint --offline --strict ansible
run shellcheck bash -c "$(declare -f shell_files); shell_files | xargs -0 shellcheck"
run packer image/validate.sh
run vagrant vagrant validate

if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
