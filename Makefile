# `make` lists the targets. Recipes are thin: the work is done by tools/backbone and deploy/local/bootstrap.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# The build cache stays outside the checkout, so that a fresh clone builds fast. The same rule stands in deploy/local/bootstrap
# and in tools/backbone.
export BACKBONE_CACHE_DIR ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/marketplace-backbone
export CARGO_TARGET_DIR ?= $(BACKBONE_CACHE_DIR)/target
BIN := $(CARGO_TARGET_DIR)/release
# Cargo cannot tell the checkouts apart that share the cache.
CLAIMED := $(shell CARGO_TARGET_DIR="$(CARGO_TARGET_DIR)" deploy/local/claim-cache)
# Every run directory is a system of its own; `make up RUN_DIR=… UP="--east 127.5.0 …"` stands beside the first.
export BACKBONE_RUN_DIR := $(if $(RUN_DIR),$(RUN_DIR),.run)

MONTH ?= 2010-12
D ?= partition

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

drill: ## Break the running system on purpose and judge it (D=partition ARGS="--duration 1m" and other flags of `backbone drill partition`)
	@"$(BIN)/backbone" drill $(D) $(ARGS)

bench: ## Measure a fresh running system and write docs/benchmarks.md (BENCH="--only checkout" and other flags of `backbone bench`)
	@"$(BIN)/backbone" bench --month $(MONTH) $(if $(DATA),--data "$(DATA)") $(BENCH)

test: build sabotaged ## Run every test, on throw-away servers
	@"$(BIN)/backbone" test-env -- cargo test --workspace --no-fail-fast

check: lint test ## What CI runs: every lint, then every test

lint: ## Formatting, clippy and the contracts (also against the branch main)
	@deploy/local/bootstrap --test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	deploy/local/check-contracts lint
	deploy/local/check-contracts breaking

sim: ## Simulate cart replication under faults (SEEDS=10000, FROM=0; SEED=… replays one)
	@SEEDS="$(SEEDS)" FROM="$(FROM)" SEED="$(SEED)" cargo run --quiet -p replication --example sim

sim-orders: ## Simulate orders under faults: saga, stock, payments, outbox, inbox (SEEDS=10000, FROM=0; SEED=… replays one)
	@SEEDS="$(SEEDS)" FROM="$(FROM)" SEED="$(SEED)" cargo run --quiet -p simulation

fuzz: ## Feed damaged deltas to the cart's decoders and join (SECONDS=60)
	FUZZ_SECONDS="$(or $(SECONDS),60)" cargo test -p crdt --test fuzz -- --nocapture

debezium: ## Relay an outbox with Debezium's connector instead of our relay, on throw-away servers (docs/debezium.md)
	@BACKBONE="$(BIN)/backbone" deploy/debezium/try

sqlx: ## Refresh .sqlx, the answers that queries are checked against when no database is there
	@deploy/local/build --release -p backbone && "$(BIN)/backbone" test-env -- deploy/local/prepare-queries

# Services that can be broken on purpose, for drills; the real ones have no such code.
sabotaged:
	@deploy/local/build --release $(foreach s,cart inventory payment order,-p $(s) --features $(s)/sabotage --bin $(s)-sabotaged)

drill: sabotaged

# What `make up` runs, and no more: the simulation and the tests are built by who runs them.
build:
	@deploy/local/bootstrap && deploy/local/build

# For the targets that need no more than the command line: built when it is not there, used as it is when it is.
$(BIN)/backbone:
	@$(MAKE) --no-print-directory build

down status logs replay audit drill bench debezium: | $(BIN)/backbone

.PHONY: help up down status logs replay audit drill bench test check lint sim sim-orders fuzz debezium sqlx build sabotaged
