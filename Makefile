# `make demo` and `make test` set up everything they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TOOLS := $(CURDIR)/.tools
OPENBAO_VERSION := v2.4.4
PROTOS := $(wildcard proto/customervault/v1/*.proto)

# The tests start hundreds of processes: each would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo serve test lint types imports proto proto-lint proto-drift bench bench-full bench-crm bench-rotate bench-audit bench-decisions bench-coalescing bench-tables bench-search bench-blast crash forensics surrogates-campaign clean lock softhsm openbao

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(STAMP): requirements-dev.lock pyproject.toml clients/python/pyproject.toml hatch_build.py vault/audit/sealed/cutting.c vault/audit/sealed/indexing.c vault/core/newcomers.c vault/hotpath/loop.c vault/hotpath/pages.h vault/model/big_endian.h vault/server/columns.c vault/server/wire.c
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e clients/python -e .
	@touch $@

install: $(STAMP)  ## Create .venv with the locked dependencies

demo: $(STAMP)  ## Run the main job, start to end, on a throw-away vault
	$(BIN)/python -m benchmarks.demo

serve: $(STAMP)  ## Start a development vault on 127.0.0.1
	$(BIN)/cvault serve --dev

test: $(STAMP)  ## Run the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(STAMP) types imports proto-lint  ## Style, types, import rules, proto lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## Strict type check
	$(BIN)/mypy

imports: $(STAMP)  ## The layers of the architecture
	$(BIN)/lint-imports

proto: $(STAMP)  ## Regenerate the stubs from proto/
	$(BIN)/python proto/generate.py

proto-lint: $(STAMP)  ## Lint the API definition
	$(BIN)/python proto/lint.py

proto-drift: $(STAMP)  ## Fail when the committed stubs differ from proto/
	$(BIN)/python proto/generate.py --check

bench: $(STAMP)  ## The suite: reads, writes, latency, shreds, beside an empty gRPC echo and a C loop (5 to 8 minutes)
	$(BIN)/python -m benchmarks run

bench-full: $(STAMP)  ## The suite with long runs and 10,000,000 values (40 minutes)
	$(BIN)/python -m benchmarks run --size full

bench-crm: $(STAMP)  ## Many CRM users through the SDK, by locust (USERS=40, SECONDS=60, or WEB=8089 for its page)
	$(BIN)/python -m benchmarks.crm --users $(or $(USERS),40) --seconds $(or $(SECONDS),60) $(if $(WEB),--web $(WEB))

bench-rotate: $(STAMP)  ## An epoch rotation under reads and writes: CPU, pauses, memory (CUSTOMERS=100000)
	$(BIN)/python -m benchmarks.rotate_rate --customers $(or $(CUSTOMERS),100000)

bench-audit: $(STAMP)  ## The sealed access log: rate with and without, verify and search (LEAVES=10000000)
	$(BIN)/python -m benchmarks.audit_tree --leaves $(or $(LEAVES),10000000)

bench-decisions: $(STAMP)  ## What decisions by situation cost a reader, beside a trivial policy
	$(BIN)/python -m benchmarks.decisions

bench-coalescing: $(STAMP)  ## 2,000 concurrent single reads, sharing requests and one by one
	$(BIN)/python -m benchmarks.coalescing

bench-tables: $(STAMP)  ## A Parquet table through tokenize-table and back (ROWS=1000000): rate, memory, equality
	$(BIN)/python -m benchmarks.tables --rows $(or $(ROWS),1000000)

bench-blast: $(STAMP)  ## Whom a stolen credential has read: exact, and in how many seconds (CUSTOMERS=100000)
	$(BIN)/python -m benchmarks.blast_radius --customers $(or $(CUSTOMERS),100000)
bench-search: $(STAMP)  ## Everybody found by every spelling, and how fast (PEOPLE=100000)
	$(BIN)/python -m benchmarks.search --people $(or $(PEOPLE),100000)

crash: $(STAMP)  ## The long kill -9 campaign (50 rounds)
	CVAULT_CRASH_ROUNDS=50 $(BIN)/python -m pytest tests/scenarios/test_crash_recovery.py

forensics: $(STAMP)  ## The long search for shredded keys in every copy (50,000 customers)
	CVAULT_FORENSICS_CUSTOMERS=$${CVAULT_FORENSICS_CUSTOMERS:-50000} $(BIN)/python -m pytest -s tests/scenarios/test_forensics.py

surrogates-campaign: $(STAMP)  ## Many surrogates of every format, checked by other code (N=1000000)
	CVAULT_SURROGATES=$(or $(N),1000000) $(BIN)/python -m pytest -s tests/scenarios/test_surrogates_campaign.py

softhsm:  ## A software PKCS #11 token for the tests (Debian; without root into .tools)
	@if [ -n "$$(ls /usr/lib/*/softhsm/libsofthsm2.so $(TOOLS)/softhsm/usr/lib/*/softhsm/libsofthsm2.so 2>/dev/null)" ]; then :; \
	elif [ "$$(id -u)" = 0 ]; then apt-get -q update && apt-get -q install -y --no-install-recommends softhsm2; \
	else mkdir -p $(TOOLS)/softhsm && cd $(TOOLS)/softhsm && apt-get -q download softhsm2 libsofthsm2 \
		&& for package in *.deb; do dpkg -x "$$package" . || exit 1; done; fi

openbao:  ## An OpenBao server for the tests, built with Go into .tools/bin/bao
	@if [ ! -x $(TOOLS)/bin/bao ]; then \
		mkdir -p $(TOOLS)/openbao $(TOOLS)/bin && cd $(TOOLS)/openbao \
		&& { [ -f go.mod ] || go mod init build; } && go get github.com/openbao/openbao@$(OPENBAO_VERSION) \
		&& go build -o $(TOOLS)/bin/bao github.com/openbao/openbao; fi

lock:  ## Rewrite the dependency locks (needs uv)
	$(PYTHON) deploy/lock.py

clean:  ## Remove what the targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
