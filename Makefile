# Everything runs in the virtual environment .venv. A target installs only what is not there yet or has
# changed (pyproject.toml, constraints.txt), so running it again is quick.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# The checker of GLB files, from npm where there is npm.
GLTF_VALIDATOR := gltf-validator@2.0.0-dev.3.10
# Conflicts would be reported for mediapipe alone, whose metadata asks for more than it uses (constraints.txt).
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --no-warn-conflicts --constraint constraints.txt

.PHONY: help install demo app test test-processors check docs
help:
	@echo "make demo      3D poses of the sample video, with its error against the truth"
	@echo "make app       a page that lifts videos in the browser, in app (needs npm)"
	@echo "make test      the tests (test-processors: those that compute, as other processors round)"
	@echo "make install   repose and its detectors in $(VENV)"
	@echo "make check     style, types and imports"
	@echo "make docs      the documentation as a site, to be opened from disk"
	@echo "Another Python: make demo PYTHON=python3.12 (3.11 and 3.12 have MediaPipe)"

install: $(VENV)/.installed

demo: install
	$(BIN)/repose demo

app: $(VENV)/.installed-for-development
	$(BIN)/repose page --app app --force

# TESTS names some of them: make test TESTS=tests/models. JOBS processes take a file each; each computes with
# one thread, since tensors this small gain nothing from two.
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile
test: $(VENV)/.installed-for-development
	$(PYTEST) $(TESTS)

# What rounds differently elsewhere, once more with PyTorch's kernels for older processors.
test-processors: $(VENV)/.installed-for-development
	set -e; for kernels in default avx2; do \
		ATEN_CPU_CAPABILITY=$$kernels $(PYTEST) tests/models tests/losses tests/lifting/test_lifter.py; \
	done

check: $(VENV)/.installed-for-development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The variable: no word from the theme about MkDocs' future in every build.
docs: $(VENV)/.installed-for-development
	NO_MKDOCS_2_WARNING=1 OMP_NUM_THREADS=1 $(BIN)/mkdocs build --quiet --strict
	@echo "Open site/index.html"

$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v "$(PYTHON)" > /dev/null || { echo "make needs $(PYTHON), which is not there. Install it, or name another: make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/pip || "$(PYTHON)" -m venv $(VENV)
	$(PIP_INSTALL) pip setuptools
	$(PIP_INSTALL) --no-build-isolation --editable ".[torch,onnx,view]" --group detectors
	$(PIP_INSTALL) --no-deps mediapipe rtmlib
	@touch $@

$(VENV)/.installed-for-development: $(VENV)/.installed
	$(PIP_INSTALL) --no-build-isolation --editable ".[train,data,export,view,batch,live,convert]" --group dev
	@npm install --silent --no-save --no-package-lock --prefix $(VENV) $(GLTF_VALIDATOR) || echo "No npm: the tests do without Khronos' validator of GLB files."
	@touch $@
