# `make` lists the targets. Recipes are thin: the work is done by tools/backbone and deploy/local/bootstrap.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# The build cache stays outside the checkout, so that a fresh clone builds fast. The same rule stands in deploy/local/bootstrap
# and in tools/backbone.
export BACKBONE_CACHE_DIR ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/marketplace-backbone
export CARGO_TARGET_DIR ?= $(BACKBONE_CACHE_DIR)/target
BIN := $(CARGO_TARGET_DIR)/release
# Every run directory is a system of its own; `make up RUN_DIR=… UP="--east 127.5.0 …"` stands beside the first.
export BACKBONE_RUN_DIR := $(if $(RUN_DIR),$(RUN_DIR),.run)

MONTH ?= 2010-12

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: build ## Install what is missing, build, start both regions (UP="--brokers 3" and other flags of `backbone up`)
	@"$(BIN)/backbone" up $(UP)

down: ## Stop everything; WIPE=1 deletes the data too
	@"$(BIN)/backbone" down $(if $(WIPE),--wipe)

status: ## Show what runs, where, and what it costs
	@"$(BIN)/backbone" status

logs: ## Show the logs; NAME=east/cart or NAME=cart for some, F=1 to follow
	@"$(BIN)/backbone" logs $(NAME) $(if $(F),-f)

replay: ## Replay a month of real orders and reconcile it (MONTH=2010-12, DATA=<folder>)
	@"$(BIN)/backbone" replay --month $(MONTH) $(if $(DATA),--data "$(DATA)")

audit: ## Check the books of both regions and of the payment provider against each other
	@"$(BIN)/backbone" audit

bench: ## Measure the running system: a month's replay, then the highest rate of checkouts; docs/benchmarks.md has the last results
	@"$(BIN)/backbone" replay --month $(MONTH) $(if $(DATA),--data "$(DATA)") --json "$(BACKBONE_RUN_DIR)/bench-replay.json"
	@"$(BIN)/backbone" load checkout --json "$(BACKBONE_RUN_DIR)/bench-checkout.json"
	@"$(BIN)/backbone" status

test: build ## Run every test, on throw-away servers
	@"$(BIN)/backbone" test-env -- cargo test --workspace --no-fail-fast

check: lint test ## What CI runs: every lint, then every test

lint: ## Formatting, clippy and the contracts (also against the branch main)
	@deploy/local/bootstrap --test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	deploy/local/check-contracts lint
	deploy/local/check-contracts breaking

sqlx: ## Refresh .sqlx, the answers that queries are checked against when no database is there
	@cargo build --release -p backbone && "$(BIN)/backbone" test-env -- deploy/local/prepare-queries

# Another account may have to run what is built here as root, whatever root's umask is.
build:
	@deploy/local/bootstrap && umask 022 && cargo build --release --workspace --bins

# For the targets that need no more than the command line: built when it is not there, used as it is when it is.
$(BIN)/backbone:
	@$(MAKE) --no-print-directory build

down status logs replay audit bench: | $(BIN)/backbone

.PHONY: help up down status logs replay audit bench test check lint sqlx build
