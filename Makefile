# Each target may be repeated: what was made from unchanged inputs is reused; FORCE=1 builds the image anew.
#   make boot [ANSWERS=FILE]   build the image and boot it: the wizard on a terminal, unattended without one
#   make test                  every test, the booted image included
TARGET ?= debian-12
ANSWERS ?=
DIR ?=
PYTEST_ARGS ?=
export FORCE
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help dev check fix test test-long image boot devnet bench lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

dev: ## Python environment in .venv, locked with hashes
	@scripts/host-setup.sh dev
	@scripts/venv.sh

check: dev ## linters, types, import rules, image and box definitions
	@scripts/host-setup.sh check
	@scripts/check.sh

fix: dev ## let the linter repair and format
	@.venv/bin/ruff check --fix .; .venv/bin/ruff format .

image: dev ## build/image/out: the image to flash, qcow2, sums, manifest
	@scripts/host-setup.sh image
	@image/build.sh $(TARGET)

boot: image ## build the image and boot it to the wizard
	@.venv/bin/python -m image.boot --target $(TARGET) $(if $(ANSWERS),--answers '$(ANSWERS)')

test: dev ## every test; the image is built beside those that do without it
	@scripts/host-setup.sh image check test
	@.venv/bin/pytest -n 2 --dist loadscope --no-loadscope-reorder --max-worker-restart 2 -m 'not long' $(PYTEST_ARGS)

test-long: dev ## what takes too long for every change
	@scripts/host-setup.sh image check test long
	@.venv/bin/pytest -m long $(PYTEST_ARGS)

devnet: dev ## a node on this machine, without a VM
	@.venv/bin/bpci devnet up $(if $(DIR),--dir '$(DIR)')

bench: dev ## benchmarks: a table, and build/bench.json
	@.venv/bin/python -m benchmarks.run

lock: dev ## renew requirements/*.txt from requirements/*.in
	@scripts/lock.sh

clean: ## remove what was built
	rm -rf build .venv
