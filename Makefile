# Every target does its own set-up on a fresh machine; a second run costs a few milliseconds.
#   PYTHON=…  the interpreter that makes .venv (any 3.11 or newer; else one is searched for)
#   ARGS=…    passed on: to `postroad serve` by run, to pytest by test, to the benchmark by bench

.DEFAULT_GOAL := help
.SUFFIXES:
.PHONY: help run test check check-format check-lint check-types check-house format bench setup peers clean

export PYTHON
BIN := .venv/bin

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## /  make \1 \t/p' Makefile | expand -t 16
	@echo '  ARGS="…" is passed on by run, test and bench; PYTHON=… chooses the interpreter.'

run: ## start the server; with no ARGS, a developer's inbox on 127.0.0.1:1025 and http://127.0.0.1:8025
	@tools/setup runtime
	@exec $(BIN)/postroad serve $(ARGS)

test: ## run the tests, real mail programs included
	@tools/setup dev
	@$(BIN)/python tools/peers.py --best-effort
	@$(BIN)/python -m pytest $(ARGS)

check: ## format, lint, types, layers, bans, links in the docs
	@tools/setup dev
	@$(MAKE) --no-print-directory --keep-going check-format check-lint check-types check-house

check-format:
	$(BIN)/ruff format --check .

check-lint:
	$(BIN)/ruff check .
	$(BIN)/python tools/lint_bans.py

check-types:
	$(BIN)/mypy --strict src

check-house:
	$(BIN)/python -m pytest -q tests/test_layers.py tests/test_lint_bans.py tests/test_docs.py

format: ## let ruff put the source in order
	@tools/setup dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: ## measure against peers, in one run on this machine
	@tools/setup dev
	@$(BIN)/python tools/peers.py --best-effort
	@$(BIN)/python bench/run.py $(ARGS)

setup: ## make .venv with everything; .venv/bin/postroad works afterwards
	@tools/setup dev

peers: ## fetch the mail programs the tests talk to
	@tools/setup dev
	@$(BIN)/python tools/peers.py

clean: ## remove what make made in this folder
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +
