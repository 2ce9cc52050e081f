# Everything happens in .venv; the targets make it first when it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# Python compiles a module when it is first imported; to compile all that comes along takes longer than to fetch it.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt

# PEFT imports bitsandbytes wherever it finds it, which takes seconds: it lies apart from what all other processes see.
NF4 := .venv/nf4
NF4_TESTS := tests/unit/models/test_nf4.py tests/unit/pipeline/test_nf4.py

.PHONY: setup demo test test-slow check bench constraints clean

setup: $(READY)

# torch comes first and alone: its exact version has a CPU build where an open range pulls in gigabytes of CUDA.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) torch
	$(INSTALL) --editable '.[dev]'
	touch $(READY)

$(NF4)/ready: $(READY)
	$(INSTALL) --upgrade --no-deps --target $(NF4) bitsandbytes
	PYTHONPATH=$(NF4) $(BIN)/python -c 'import bitsandbytes'
	touch $@

demo: $(READY)
	$(BIN)/luthier demo

# A process for each core, each on one thread: the models of the tests are too small to share.
test: $(READY) $(NF4)/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist worksteal
	OMP_NUM_THREADS=1 PYTHONPATH=$(NF4) $(BIN)/python -m pytest $(NF4_TESTS)

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports
	$(BIN)/python src/luthier/samples/alder_finch/rebuild.py --check

bench: $(READY)
	$(BIN)/python benchmarks/bench_inference.py
	$(BIN)/python benchmarks/bench_preference.py
	$(BIN)/python benchmarks/bench_personal_data.py
	$(BIN)/python benchmarks/bench_unsupported_facts.py
	$(BIN)/python benchmarks/bench_groundedness.py
	$(BIN)/python benchmarks/bench_dedupe.py
	$(BIN)/python benchmarks/bench_prepare.py --kill-after 30
	$(BIN)/python benchmarks/bench_splits.py
	$(BIN)/python benchmarks/bench_training.py

constraints: $(READY) $(NF4)/ready
	PYTHONPATH=$(NF4) $(BIN)/python scripts/write_constraints.py > constraints.tmp
	mv constraints.tmp constraints.txt

clean:
	rm -rf .venv luthier-demo build dist
