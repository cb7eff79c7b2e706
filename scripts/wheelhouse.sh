#!/usr/bin/env bash
# Gather the node as wheels: every locked dependency, checked by hash, and this project, for machines without a compiler.
#
# OUTDIR receives *.whl, requirements.txt (dependencies, each pinned to the hash of the wheel that lies beside it, so that
# a wheel built here from source is pinned as well) and project.txt (the project's own wheel, likewise).
set -euo pipefail

if [ $# -ne 1 ] || [ "$1" = --help ]; then
  echo "Usage: scripts/wheelhouse.sh OUTDIR" >&2
  [ "${1:-}" = --help ] && exit 0 || exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."

python=${PYTHON:-/usr/bin/python3}
digest() { sha256sum | cut -c1-24; }
cache=build/wheels
mkdir -p "$cache"
exec 9>build/wheels.lock
flock 9

# pins DIR: a requirements file for the wheels in DIR
pins() {
  local wheel name
  for wheel in "$1"/*.whl; do
    name=$(basename "$wheel")
    printf '%s==%s --hash=sha256:%s\n' "${name%%-*}" "$(cut -d- -f2 <<<"$name")" "$(sha256sum "$wheel" | cut -d' ' -f1)"
  done
}

builder() { # an environment that has the locked setuptools, whichever Python calls
  local key
  key=$({ "$python" -VV; cat requirements/build.txt; } | digest)
  if [ ! -e "$cache/builder-$key/complete" ]; then
    rm -rf "$cache/builder-$key"
    "$python" -m venv "$cache/builder-$key"
    "$cache/builder-$key/bin/pip" -q --disable-pip-version-check install --require-hashes -r requirements/build.txt
    touch "$cache/builder-$key/complete"
  fi
  echo "$cache/builder-$key/bin/pip"
}

dependencies=$cache/dependencies-$({ "$python" -VV; cat requirements/build.txt requirements/node.txt; } | digest)
if [ ! -d "$dependencies" ]; then
  echo "wheelhouse: fetching and building the node's locked dependencies" >&2
  rm -rf "$dependencies.part"
  "$(builder)" -q --disable-pip-version-check wheel --require-hashes --no-deps --no-build-isolation \
    -r requirements/node.txt -w "$dependencies.part"
  pins "$dependencies.part" >"$dependencies.part/requirements.txt"
  mv "$dependencies.part" "$dependencies"
fi

sources() { find appliance pyproject.toml -type f ! -path '*/__pycache__/*' ! -path '*.egg-info/*' -print0 | sort -z; }
project=$cache/project-$({ sources | xargs -0 sha256sum; } | digest)
if [ ! -d "$project" ]; then
  rm -rf "$project.part"
  mkdir -p "$project.part/source"
  sources | xargs -0 cp --parents -t "$project.part/source"
  "$(builder)" -q --disable-pip-version-check wheel --no-deps --no-build-isolation --no-index \
    -w "$project.part" "$project.part/source"
  rm -rf "$project.part/source"
  pins "$project.part" >"$project.part/project.txt"
  mv "$project.part" "$project"
fi

rm -f "$out"/*.whl "$out"/requirements.txt "$out"/project.txt
cp "$dependencies"/* "$project"/* "$out"/
