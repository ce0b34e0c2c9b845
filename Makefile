# The two commands: `make demo` replays the night on a real local fleet, `make test` runs the tests.
# Both set everything up by themselves. AUTO=1 plays the demo without asking.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ENCLAVE := $(BIN)/python -m bot.demo.enclave

.PHONY: demo test check soak bench-crash bench-match bench-progress bench-rollout bench-serve bench-slack bench-store lock clean

demo: $(READY)
	@.ci/system demo
	@$(BIN)/holdfast demo $(if $(AUTO),--auto,)

test: $(READY) check
	@.ci/system test
	@.ci/npm-install
	@.ci/test

check: $(READY)
	$(BIN)/ruff check bot tests bench
	$(BIN)/ruff format --check bot tests bench
	$(BIN)/codespell
	$(BIN)/lint-imports
	$(BIN)/mypy

$(READY): requirements/dev.txt pyproject.toml
	@.ci/venv $(PYTHON) $(VENV)
	@touch $@

# The crash reader over HOLDFAST_CORPUS=FILE, else over our golden logs. WHAT="accuracy speed -v" picks.
bench-crash: $(READY)
	$(BIN)/python -m bench.crash $(WHAT)

bench-progress: $(READY)
	@.ci/system test
	$(ENCLAVE) $(BIN)/python bench/progress.py

bench-serve: $(READY)
	$(BIN)/python bench/serve.py

# Crashes against 1,000 and 10,000 made up runbooks.
bench-match: $(READY)
	$(BIN)/python -m bench.match

bench-store: $(READY)
	$(BIN)/python bench/store.py

# A rollout beside plain Ansible and beside bare SSH, over real hosts. SIZES="50 200 --rounds 3" picks.
bench-rollout: $(READY)
	@.ci/system test
	$(BIN)/python -m bench.rollout $(SIZES)

# 100 commands at once while 20 rollouts run, and how soon a cut connection is back.
bench-slack: $(READY)
	@.ci/npm-install
	$(BIN)/python -m bot.demo.enclave $(BIN)/python -m bench.slack socket
	$(BIN)/python -m bot.demo.enclave $(BIN)/python -m bench.slack http

# The long counts, once: kills of the bot at random moments, aborts, orders of approvals.
soak: $(READY)
	@.ci/system test
	@.ci/npm-install
	HOLDFAST_SOAK=1 .ci/test tests/acceptance tests/unit/test_interleavings.py tests/contract/test_rivals.py

# Write the pinned requirements anew; no registry's address gets into the file.
lock: $(READY)
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --all-extras \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --output-file requirements/dev.txt pyproject.toml

clean:
	rm -rf $(VENV) .cache demo-out
