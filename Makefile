# Thin on purpose: each target calls a script in tools/, which says what it does.
.DEFAULT_GOAL := help
PY := .venv/bin/python

.PHONY: help demo build wheel test clients pressure check bench fuzz sanitize docs format clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: ## install, build, train the example with and without memory limits
	@tools/setup demo
	@$(PY) tools/build
	@$(PY) examples/char_lm.py --demo

build: ## install what is needed and build the package into .venv
	@tools/setup demo
	@$(PY) tools/build

wheel: ## a wheel with its native libraries, in dist/
	@tools/setup wheel
	@$(PY) tools/wheel

test: ## build, then the C++ tests and the Python tests
	@tools/setup test
	@$(PY) tools/build --tests
	@tools/test

check: ## layers, layout, format, lint, types
	@tools/setup check
	@$(PY) tools/build
	@tools/check

bench: ## time Plimsoll against its peers
	@tools/setup bench
	@$(PY) tools/build
	@$(PY) benchmarks/run.py

clients: ## run mlx-lm's models here and on mlx's wheel, and compare the tokens
	@tools/setup clients
	@$(PY) tools/build
	@$(PY) tools/clients

pressure: ## the Python tests again under each pressure setting
	@tools/setup test
	@$(PY) tools/build --tests
	@tools/test --pressure all

fuzz: ## long random runs: graphs, limits, faults
	@tools/setup test
	@$(PY) tools/build --tests
	@tools/fuzz

sanitize: ## C++ tests under address, undefined-behaviour and thread sanitizers
	@tools/setup test
	@tools/sanitize

docs: ## HTML documentation in build/docs
	@tools/setup docs
	@$(PY) tools/build
	@$(PY) -m sphinx -q -W -b html docs build/docs && echo "docs: build/docs/index.html"

format: ## rewrite C++ and Python files in the house layout
	@tools/setup check
	@tools/check --fix

clean: ## remove what was built (.venv stays)
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache
