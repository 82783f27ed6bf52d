# Runs, tests and checks the project. ARGS is passed to the command: make test ARGS="-k gate -x"

PYTHON ?= python3
ARGS ?=
EXAMPLES ?= 5000
BIN := .venv/bin
STACK := $(BIN)/python deploy/local/stack.py --
NATIVE := $(wildcard processor/*/_*.c)
UNIT := $(BIN)/python -m pytest -n 3 --dist worksteal tests/unit tests/property tests/field

.DEFAULT_GOAL := help
.PHONY: help run unit check format coverage test test-all fuzz chaos bench bench-peers bench-api bench-carriers bench-console soak capacity rolling lint audit-deps schemas manifests screenshots lock sbom wheel clean

help:  ## list these
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

run: .venv/made  ## a broker, a Redis, the processor and sample traffic, until Ctrl-C
	$(STACK) $(BIN)/optout up $(ARGS)

unit: .venv/test  ## tests of pure functions and properties, side by side; they need no server
	OPTOUT_HYPOTHESIS=short $(UNIT) -m 'not slow' $(ARGS)

check: lint unit  ## lint and unit: before each commit

format: .venv/made  ## format the code, and apply the fixes of ruff
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

coverage: .venv/test  ## measure unit; fails where a branch of core, configuration or wire is not reached
	$(UNIT) --timeout 600 --cov --cov-report= --cov-fail-under 0 $(ARGS)
	$(BIN)/coverage report --include 'processor/*' --fail-under 0 --format total
	$(BIN)/coverage report

test: .venv/made  ## tests that need at most one broker and one Redis, with both beside them; or those in ARGS
	$(STACK) $(BIN)/python -m pytest --part=one-of-each $(ARGS)

test-all: test  ## these, then tests that need more: other servers, a browser, npm, Go, a JDK
	$(STACK) $(BIN)/python -m pytest --part=needs-more $(ARGS)

fuzz: .venv/made  ## search for input that breaks readers and rules; EXAMPLES=50000 for hours
	OPTOUT_HYPOTHESIS=$(EXAMPLES) $(BIN)/python -m pytest --timeout 0 tests/property tests/security $(ARGS)

chaos: .venv/made  ## inject faults under load, then check every event; ARGS="--seconds 600 --seed 7"
	$(BIN)/python -m tests.chaos $(ARGS)

bench: .venv/made  ## measure throughput and latency on this machine
	$(STACK) $(BIN)/python -m tests.bench $(ARGS)

bench-peers: .venv/made  ## measure match and gate beside the same jobs on Kafka Streams (Java, Maven)
	$(STACK) $(BIN)/python -m tests.bench.peers $(ARGS)

bench-api: .venv/made  ## measure the API's requests a second, and the time of each call
	$(STACK) $(BIN)/python -m tests.bench.api $(ARGS)

bench-carriers: .venv/made  ## measure providers' requests a second, and the time of each
	$(STACK) $(BIN)/python -m tests.bench.carriers $(ARGS)

bench-console: .venv/made  ## measure each page of the console among 10,000 services
	$(STACK) $(BIN)/python -m tests.bench.console $(ARGS)

soak: .venv/made  ## ten minutes at the highest rate, then a back-log of five million
	$(STACK) $(BIN)/python -m tests.bench.soak $(ARGS)

capacity: .venv/made  ## measure the figures of deploy/capacity.md on this machine
	$(BIN)/python -m tests.bench.capacity $(ARGS)

rolling: .venv/made  ## restart workers one by one under load, with and without static membership
	$(BIN)/python -m tests.crash.rolling $(ARGS)

lint: .venv/made  ## check format, style, types, English, direction of imports, compatibility of schemas
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy deploy/local/stack.py
	$(BIN)/mypy deploy/strimzi/manifests.py
	$(BIN)/mypy deploy/redis_users.py deploy/sbom.py deploy/audit.py deploy/lookalikes.py
	$(BIN)/lint-imports
	$(BIN)/optout schemas check
	$(BIN)/python -m tests.prose

audit-deps: .venv/made  ## look up advisories about the locked packages; reports if no source answers
	$(BIN)/python deploy/audit.py $(ARGS)

schemas: .venv/made  ## regenerate schemas/json and schemas/asyncapi.yaml from the models
	$(BIN)/optout schemas export $(ARGS)

manifests: .venv/made  ## regenerate deploy/strimzi from topics.toml, acls.toml and the settings
	$(BIN)/python deploy/strimzi/manifests.py $(ARGS)

screenshots: .venv/made  ## take the manuals' pictures of the console again
	$(STACK) $(BIN)/python -m tests.console.screenshots

lock:  ## regenerate deploy/*.lock and the bill of materials from pyproject.toml; ARGS=--upgrade for newer packages
	tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && $(PYTHON) -m venv "$$tools" \
	&& "$$tools/bin/pip" install --quiet uv \
	&& "$$tools/bin/uv" pip compile --quiet --extra dev --universal --python-version 3.11 \
	    --generate-hashes --custom-compile-command "make lock" \
	    --output-file deploy/requirements.lock $(ARGS) pyproject.toml \
	&& "$$tools/bin/uv" pip compile --quiet --extra test --universal --python-version 3.11 \
	    --generate-hashes --custom-compile-command "make lock" --constraints deploy/requirements.lock \
	    --output-file deploy/test.lock pyproject.toml \
	&& echo 'setuptools>=80  # builds the package, then goes' \
	| "$$tools/bin/uv" pip compile --quiet --extra tracing --universal --python-version 3.11 \
	    --generate-hashes --custom-compile-command "make lock" --constraints deploy/requirements.lock \
	    --output-file deploy/image.lock pyproject.toml -
	$(MAKE) sbom

sbom: .venv/made  ## regenerate deploy/sbom.cdx.json from deploy/image.lock
	$(BIN)/python deploy/sbom.py

wheel: .venv/made  ## build a wheel in dist/, with the native readers if there is a C compiler
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean:  ## remove everything that was built or fetched
	rm -rf .venv .cache build dist $(NATIVE:.c=.*.so) tests/clients/*/node_modules *.egg-info .hypothesis .*_cache
	find processor schemas tests deploy -name __pycache__ -prune -exec rm -rf {} +

# .venv/test holds `.[test]`: enough for unit and coverage. .venv/made holds `.[dev]`, which has it.
.venv/test: deploy/test.lock pyproject.toml $(NATIVE)
	$(call install,deploy/test.lock)
	@touch $@

.venv/made: deploy/requirements.lock pyproject.toml $(NATIVE)
	$(call install,deploy/requirements.lock)
	@touch .venv/test $@

define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo 'Python 3.11 or newer is needed; name one: make PYTHON=python3.11 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	|| { echo 'venv is missing; on Debian: sudo apt-get install -y python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --requirement $(1)
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
endef
