#!/usr/bin/env bash
# Check Packer's files for every target, with the Packer that is installed.
set -euo pipefail

if [ "${1:-}" = --help ]; then
  echo "Usage: image/validate.sh"
  exit 0
fi
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" CHECKPOINT_DISABLE=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ssh-keygen -q -t ed25519 -N '' -f "$work/key"
mkdir "$work/seed"
truncate -s 1M "$work/source.img"

for variables in image/*.pkrvars.hcl; do
  target=$(basename "$variables" .pkrvars.hcl)
  echo "packer validate: $target"
  checksum=()
  grep -q '^source_checksum' "$variables" || checksum=(-var "source_checksum=sha256:$(printf '0%.0s' {1..64})")
  packer validate -var-file="$variables" "${checksum[@]}" -var "source_image=$work/source.img" -var "ssh_key=$work/key" \
    -var "seed_directory=$work/seed" -var "wheelhouse=$work" -var "output_directory=$work/output" \
    -var "strategy_plugins=$work" -var accelerator=tcg image
done
