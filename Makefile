# weir's verbs: `make help` lists them. git and make are all that has to be there; every verb installs
# the Debian packages it lacks (tools/packages.txt), as root or by sudo. CMake and Ninja do the work.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := build
SHELL := /bin/sh

PYTHON := /usr/bin/python3
TEST := $(PYTHON) tools/test.py

# Parameters of the verbs.
PREFIX ?= /usr/local
DESTDIR ?=
SEED ?= 1
SEEDS ?= 1000
STEPS ?= 10000
F ?=
T ?=
FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 3600
BENCH_ARGS ?=
VERSION ?=

# One directory per preset of CMakePresets.json; configured once, then Ninja notices what changed.
CONFIGURED = $(addsuffix /build.ninja,$(addprefix build/,release dev clang tsan valgrind fuzz cover))
$(CONFIGURED): CMakePresets.json
	@mkdir -p build; cmake --preset $(notdir $(@D)) >build/$(notdir $(@D)).log 2>&1 || { cat build/$(notdir $(@D)).log; exit 1; }
	@touch $@

.PHONY: help build run test check bench sim story conform-h2 conform-ws test-openclaw fuzz fuzz-long sim-long soak bounds valgrind cover fmt fmt-check lint \
        install reference release clean test-clang test-tsan packages-run packages-compile packages-test packages-check packages-package packages-bench \
        valgrind-quick deb deb-check image-check reproducible sbom

help: ## this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

packages-run:
	@mkdir -p build && tools/packages.sh run
packages-compile:
	@mkdir -p build && tools/packages.sh run compile
packages-test:
	@mkdir -p build && tools/packages.sh run compile peers test
packages-check:
	@mkdir -p build && tools/packages.sh run compile peers test check
packages-package:
	@mkdir -p build && tools/packages.sh run package
packages-bench:
	@mkdir -p build && tools/packages.sh run peers bench

build: packages-run ## the release programs: build/release/weir and build/release/sim
	@$(MAKE) -s build/release/build.ninja
	@ninja -C build/release --quiet

run: build ## weir demo: gateway on 127.0.0.1:8080, admin on 127.0.0.1:9901
	@build/release/weir demo

test: packages-compile ## every test; the last line counts them
	@$(MAKE) packages-test & packages=$$!; \
	  $(MAKE) -s build/dev/build.ninja && ninja -C build/dev --quiet; built=$$?; \
	  wait $$packages && exit $$built
	@$(TEST) build/dev

test-clang: packages-check
	@$(MAKE) -s build/clang/build.ninja
	@ninja -C build/clang --quiet
	@$(TEST) build/clang

test-tsan: packages-check
	@$(MAKE) -s build/tsan/build.ninja
	@ninja -C build/tsan --quiet
	@$(TEST) build/tsan --wire threads -k '^(base|io|runtime|listener|connector|gateway)/'

check: packages-check ## what must be green before a change goes in: gcc and clang, lint, format, simulator
	@$(MAKE) fmt-check
	@$(MAKE) test
	@$(MAKE) test-clang
	@$(MAKE) test-tsan
	@$(MAKE) build
	@tools/install_test.sh build/release
	@$(PYTHON) -B tools/hardening.py build/release/weir
	@$(MAKE) bounds
	@$(MAKE) valgrind-quick
	@$(PYTHON) -B tools/abi.py --self-test
	@$(PYTHON) -B tools/abi.py
	@$(MAKE) sim SEED=1 SEEDS=1000 STEPS=10000
	@$(MAKE) lint
	@echo "check: all green"

bench: packages-bench build ## cost beside nginx and HAProxy (BENCH_ARGS="--quick --only relay ...")
	@$(PYTHON) bench/bench.py $(BENCH_ARGS)

sim: build ## the simulator: SEED= first seed, SEEDS= how many, STEPS= of each
	@build/release/sim --seed $(SEED) --seeds $(SEEDS) --steps $(STEPS)

sim-long: build ## the simulator, 10^9 steps
	@build/release/sim --seed $(SEED) --seeds 100000 --steps 10000

conform-h2: packages-test build/dev/build.ninja ## HTTP/2 case by case, listener and connector, with nghttpd and nginx as controls
	@ninja -C build/dev weir
	@$(PYTHON) test/conform/h2.py

conform-ws: packages-test build/dev/build.ninja ## WebSocket case by case, through the relay and at both ends, with websockets and ws as controls
	@ninja -C build/dev weir ws_tool
	@$(PYTHON) test/conform/ws.py

test-openclaw: packages-test build/dev/build.ninja ## OpenClaw, client and upstream, against a real gateway, from npm (900 MB, into the user's cache)
	@ninja -C build/dev weir openclaw_tool openclaw_double
	@home=$$(tools/openclaw.sh) && cd test/wire && WEIR_OPENCLAW=$$home $(PYTHON) -m pytest -q -p no:cacheprovider test_openclaw.py test_openclaw_gateway.py \
		test_openclaw_accounts.py

story: packages-test ## a story or several: F=test/story/NAME (all without F)
	@$(MAKE) -s build/dev/build.ninja
	@ninja -C build/dev --quiet
	@build/dev/story $(if $(F),--why $(F),test/story)

fuzz: packages-check ## libFuzzer: T= one target (all without), FUZZ_SECONDS= each
	@$(MAKE) -s build/fuzz/build.ninja
	@ninja -C build/fuzz --quiet
	@tools/fuzz.sh build/fuzz $(FUZZ_SECONDS) $(T)

fuzz-long: ## the same, an hour each
	@$(MAKE) fuzz FUZZ_SECONDS=3600

bounds: packages-test build ## what 5000 clients cost of memory, a cap of 128 MiB under floods, what slow clients cost others; of the release program
	@$(TEST) build/release --only-wire "test_bounds or test_a_cap or ten_waves or others_do_not_notice"

valgrind: packages-check ## the unit tests under valgrind, half an hour (F= those whose name matches)
	@$(MAKE) -s build/valgrind/build.ninja
	@ninja -C build/valgrind --quiet
	@$(TEST) build/valgrind --no-wire -k '$(if $(F),$(F),_test$$)'

valgrind-quick: ## the same of the core and the tables of sessions
	@$(MAKE) valgrind F='^(core/.*|session/(attrs|book|ident|shard|table|table_model))_test$$'

soak: packages-test build ## 100 seeds of gateways and Redis killed, then the long forms of test/wire again and again, SOAK_SECONDS=
	@$(MAKE) -s build/dev/build.ninja
	@ninja -C build/dev --quiet
	@$(MAKE) bounds
	@$(TEST) build/dev --soak $(SOAK_SECONDS)

cover: packages-check ## coverage: lines of src/ >= 85 %, branches of core 100 % apart from checks
	@$(MAKE) -s build/cover/build.ninja
	@ninja -C build/cover --quiet
	@find build/cover -name '*.gcda' -delete
	@$(TEST) build/cover; tests=$$?; $(PYTHON) tools/cover.py build/cover && exit $$tests

fmt: packages-check ## format every C file
	@git ls-files -z '*.c' '*.h' | xargs -0 -r clang-format -i

fmt-check: packages-check
	@git ls-files -z '*.c' '*.h' | xargs -0 -r clang-format --dry-run -Werror

lint: packages-check ## clang-tidy over src/ (F= only files whose path holds it)
	@$(MAKE) -s build/clang/build.ninja
	@cmake build/clang >/dev/null
	@$(PYTHON) tools/lint.py build/clang $(F)

reference: packages-test ## write docs/reference, docs/man and docs/options.md from the headers and the program
	@$(MAKE) -s build/dev/build.ninja
	@ninja -C build/dev --quiet weir
	@$(PYTHON) -B tools/reference.py build/dev/weir
	@$(PYTHON) -B tools/metrics.py build/dev/weir

install: build ## programs, library, headers, pkg-config, CMake: PREFIX= DESTDIR=
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)" >/dev/null
	@echo "installed under $(DESTDIR)$(PREFIX)"

deb: packages-package ## Debian packages of this tree, in build/deb
	@tools/deb.sh build/deb

deb-check: deb ## installs, runs, upgrades and removes them on a clean Debian 12 (root; WEIR_CACHE= keeps that)
	@tools/deb_check.sh build/deb

image-check: packages-package ## the steps of deploy/Dockerfile on a clean Debian 12, without docker (root)
	@$(PYTHON) -B tools/image_check.py

reproducible: deb ## builds the packages again in another folder; are they the same, byte for byte?
	@tools/reproducible.sh build/deb

sbom: build ## what weir is made of: build/weir.spdx.json
	@$(PYTHON) -B tools/sbom.py build/release/weir build/weir.spdx.json
	@echo "build/weir.spdx.json"

release: ## VERSION=: checked, tagged, packed in a clone: build/release-VERSION
	@tools/release.sh "$(VERSION)" "build/release-$(VERSION)"

clean: ## remove build/
	rm -rf build
