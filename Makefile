# The two commands: `make demo` replays the night on a real local fleet, `make test` runs the tests.
# Both set everything up by themselves. AUTO=1 plays the demo without asking.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ENCLAVE := $(BIN)/python -m bot.demo.enclave

.PHONY: demo test check types lint soak bench-abort bench-crash bench-match bench-progress bench-rollout bench-serve bench-slack bench-store lock clean

demo: $(READY)
	@.ci/system demo
	@$(BIN)/holdfast demo $(if $(AUTO),--auto,)

test: $(READY) check
	@.ci/system test
	@.ci/npm-install
	@.ci/test

# Side by side: the types take as long as all the rest and more.
check: $(READY)
	@$(MAKE) --no-print-directory -j2 types lint

types: $(READY)
	$(BIN)/mypy

lint: $(READY)
	$(BIN)/ruff check bot tests bench
	$(BIN)/ruff format --check bot tests bench
	$(BIN)/codespell
	$(BIN)/lint-imports

$(READY): requirements/dev.txt pyproject.toml
	@.ci/venv $(PYTHON) $(VENV)
	@touch $@

# The crash reader over HOLDFAST_CORPUS=FILE, else over our golden logs. WHAT="accuracy speed -v" picks.
bench-crash: $(READY)
	$(BIN)/python -m bench.crash $(WHAT)

# From an accepted abort until the last process is gone; COUNT="30" aborts.
bench-abort: $(READY)
	@.ci/system test
	$(BIN)/python -m bench.abort $(COUNT)

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

# The long counts, once: 200 kills at random moments, 100 aborts, nights, orders of approvals. LOG=FILE gets the figures.
LOG ?= .cache/soak.log
SOAK := $(addprefix tests/acceptance/test_,chaos.py kills.py intake.py) \
  $(addprefix tests/unit/test_,rollout_properties.py worker.py interleavings.py) tests/contract/test_rivals.py
soak: $(READY)
	@.ci/system test
	@mkdir -p $(dir $(LOG))
	HOLDFAST_SOAK=1 HOLDFAST_SOAK_LOG=$(abspath $(LOG)) HOLDFAST_TEST_WORKERS=2 \
	  .ci/test $(SOAK)
	$(BIN)/python -m bench.soak $(LOG)

# 100 commands at once while 20 rollouts run, and how soon a cut connection is back.
bench-slack: $(READY)
	@.ci/npm-install
	$(BIN)/python -m bot.demo.enclave $(BIN)/python -m bench.slack socket
	$(BIN)/python -m bot.demo.enclave $(BIN)/python -m bench.slack http


# Write the pinned requirements anew; no registry's address gets into the file.
lock: $(READY)
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --all-extras \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --output-file requirements/dev.txt pyproject.toml

clean:
	rm -rf $(VENV) .cache demo-out
