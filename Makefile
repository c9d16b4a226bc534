# make verify   verify the fix of the IPVS GUE fault in real kernels
# make test     run every test, in virtual machines too
# make bench    measure the library against its peers
# make sanitize look for memory errors with sanitizers and a fuzzer, for FUZZ_SECONDS
# All set up what they need: a virtual environment here, and Debian packages with sudo.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
APT_INSTALL := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q --yes --no-install-recommends
# The packages as they are installed (kernel/ is gso.kernel), for the type checker.
TYPES := build/types
SOURCES := pyproject.toml setup.py $(wildcard gso/*.pyx gso/*.pxd gso/*.c gso/*.h)

.PHONY: verify test bench sanitize lint build machine test-packages clean

verify: machine
	$(BIN)/gso-kernel verify patches/ipvs-gue-inner-mac-header.patch

test: machine test-packages
	$(BIN)/pytest

bench: build
	pkg-config --exists libdpdk || { $(SUDO) apt-get update -q && $(APT_INSTALL) libdpdk-dev pkg-config; }
	$(BIN)/python benchmarks/ratios.py

FUZZ_SECONDS ?= 300
sanitize: build
	command -v clang >/dev/null || { $(SUDO) apt-get update -q \
	  && $(APT_INSTALL) --install-recommends clang; }
	$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/pip install --quiet atheris
	$(BIN)/python tests/fuzz/run.py --seconds $(FUZZ_SECONDS) $(KEEP)

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint gso/*.pyx gso/*.pxd
	mkdir -p $(TYPES)/gso
	ln -sfn $(CURDIR)/gso/* $(CURDIR)/kernel $(TYPES)/gso/
	MYPYPATH=$(TYPES) $(BIN)/mypy --package gso

build: $(VENV)/.built

machine: build
	$(BIN)/gso-kernel doctor --install

# Programs that only tests use, to judge our files as others see them.
test-packages:
	{ command -v tshark && command -v chromium; } >/dev/null || { $(SUDO) apt-get update -q \
	  && $(APT_INSTALL) tshark chromium; }

$(VENV)/bin/pip:
	$(PYTHON) -c 'import ensurepip, os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' \
	  && command -v gcc >/dev/null \
	  || { $(SUDO) apt-get update -q && $(APT_INSTALL) python3-venv python3-dev gcc libc6-dev; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.built: $(VENV)/bin/pip $(SOURCES)
	$(BIN)/pip install --quiet --upgrade 'setuptools>=77' 'cython>=3.1'
	$(BIN)/pip install --quiet --no-build-isolation --editable '.[kernel,arrow,test,bench,lint]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info gso/*.so gso/_*.c
