# Short names for what the scripts and CMake do. `make help` lists them.
# Variables: PREFIX (install), JOBS, FUZZ and FUZZ_SECONDS (fuzz), PYTHON_TESTS=no (check), CASES (bench).

PREFIX ?= /usr/local
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
FUZZ_SECONDS ?= 60
PYTHON_TESTS ?= yes

.PHONY: build help deps check support tidy demo bench fuzz install uninstall clean

build:
	@tools/deps.sh --need build
	cmake --preset release
	cmake --build build/release -j $(JOBS) --target chunkmill chunkmill_shared chunkmill-bench

help:
	@echo "make            build build/release/chunkmill and the libraries"
	@echo "make deps       install what building and testing need (Debian, Ubuntu; as root or with sudo)"
	@echo "make check      build with and without sanitizers, warnings as errors, and run every test"
	@echo "make support    make docs/support.md of what the differential tests compare"
	@echo "make tidy       clang-tidy over the sources, with the checks of .clang-tidy; takes minutes"
	@echo "make demo       fetch a climate model's file, convert it, compare it"
	@echo "make bench      measure, beside others where they are installed; 5 GB in build/; CASES=engine for one"
	@echo "make fuzz       fuzz every parser for FUZZ_SECONDS=$(FUZZ_SECONDS) each (clang); FUZZ=json for one"
	@echo "make install    to PREFIX=$(PREFIX): program, libraries, headers, manual, completions"
	@echo "make uninstall  remove what the last make install put there"
	@echo "make clean      remove build/"

deps:
	tools/deps.sh

check:
	JOBS=$(JOBS) PYTHON_TESTS=$(PYTHON_TESTS) tools/check.sh

tidy: build
	find src -name '*.c' | sort | xargs -P $(JOBS) -n 8 clang-tidy -p build/release --quiet

# The tests that record run again; what they compared is the page.
support: build
	tools/make_venv.sh build/venv
	cmake --preset release -DCM_PYTHON=$(CURDIR)/build/venv/bin/python
	cmake --build build/release -j $(JOBS)
	ctest --test-dir build/release -j $(JOBS) --output-on-failure --no-tests=error -L '^records$$'
	build/venv/bin/python tools/make_support.py --write build/release/tests/support.txt

demo:
	@tools/deps.sh --need demo
	@$(MAKE) --no-print-directory build
	tools/demo.sh build/release/chunkmill

bench: build
	cmake --build build/release -j $(JOBS) --target chunkmill-codec-bench
	bench/run.py $(CASES)

fuzz:
	JOBS=$(JOBS) tools/fuzz.sh "$(FUZZ_SECONDS)" $(FUZZ)

install: build
	cmake --install build/release --prefix "$(PREFIX)"
	@cp build/release/install_manifest.txt build/installed.txt
	@# what sudo made here belongs to whom the sources belong to, who could not build any more
	@[ "$$(id -u)" != 0 ] || chown -R --reference=Makefile build

# The tests install too, into build/, so what went to PREFIX is noted apart.
uninstall:
	@test -f build/installed.txt || { echo "nothing was installed from here" >&2; exit 1; }
	xargs -d '\n' rm -f <build/installed.txt
	@sed -n -E 's,/(include|doc)/chunkmill/[^/]*$$,/\1/chunkmill,p' build/installed.txt | sort -u | xargs -r -d '\n' rmdir --ignore-fail-on-non-empty
	@rm build/installed.txt

clean:
	cmake -E rm -rf build
