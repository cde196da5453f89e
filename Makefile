# Every target does its own set-up on a fresh Debian machine that has only make and python3.
# The second run is instant: stamp files in the virtual environment remember what is installed.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# What `make quick` uses: the base install and the tests' tools, no torch.
QUICK  ?= .venv-quick
PIP    := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c requirements.lock

BUNDLE := build/pulse-nano-onnx
PAGE   ?= $(firstword $(sort $(wildcard pulse/ecg/examples/*.png)))

# What `make report` measures. DATA: "sample", the records in the project, or a PTB-XL folder; OLD: an earlier
# report.json to hold the new one against.
KINDS  := $(foreach target,onnx executorch coreml,$(foreach weights,float16 int8 int4,$(target)-$(weights)))
DATA   ?= sample
OLD    ?=
# Targets whose vendors' own kernels run on x86 Linux alone: their extras, and the simulator to ask.
ifeq ($(shell uname -sm),Linux x86_64)
KINDS  += coreai-int4 qnn-int4
VENDORS := ,coreai,npu
SIMULATED := --simulated hexagon
endif

# Files with parts that cog writes.
GENERATED := README.md docs/*.md
QUICK_TESTS := tests/edge_runtime tests/packaging

.DEFAULT_GOAL := help
.PHONY: help demo app nano quick test coverage test-all wheel-check help-times lint docs format report picture screenshots phone emulated tosa lock clean

help:  ## say what the targets do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | while IFS="$$(printf '\t')" read -r n t; do printf '  make %-10s %s\n' "$$n" "$$t"; done

demo: $(BUNDLE)/manifest.json  ## export pulse-nano to ONNX and ask it about a real ECG page
	$(BIN)/pulse-ask $(BUNDLE) $(PAGE)

app: $(BUNDLE)/manifest.json $(VENV)/.app  ## export pulse-nano to ONNX and open the app
	$(BIN)/pulse-demo

nano: $(VENV)/.demo  ## export edge_runtime/nano, the bundle that comes with the base install, anew
	rm -rf build/nano
	$(BIN)/pulse-export pulse-nano --target onnx --out build/nano
	rm -rf edge_runtime/nano
	cp -r build/nano edge_runtime/nano

quick: $(QUICK)/.done  ## the tests of the runtime and the commands, with the base install and no torch: under a minute
	$(QUICK)/bin/python -m pytest -q -m "not wheel" $(QUICK_TESTS)

# Coverage makes a test a third slower, and torch's exporters most of all: it is taken where the runtime's own tests run.
TESTS = $(BIN)/python -m pytest -m "not slow and not wheel" -n auto --maxprocesses 4 --dist loadfile
test: $(VENV)/.dev screen devices  ## the tests but the slow ones; branches of edge_runtime covered to 90 % by its own
	$(TESTS) tests/edge_runtime --cov=edge_runtime --cov-fail-under=90
	$(TESTS) --ignore=tests/edge_runtime

coverage: $(VENV)/.dev screen devices  ## branches of edge_runtime and export covered by all tests but the slow ones
	$(TESTS) --cov --cov-fail-under=90

test-all: $(VENV)/.dev screen devices  ## all tests
	$(BIN)/python -m pytest

wheel-check: $(VENV)/.dev  ## build the wheel, install it with each extra into clean environments, run every command there
	$(BIN)/python -m pytest -m wheel tests/packaging

help-times: $(VENV)/.dev  ## seconds that --help of each command takes, median of five
	$(BIN)/python scripts/help_times.py

lint: $(VENV)/.dev  ## ruff, mypy, the order of the folders, and docs that say what the commands say
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/cog --check --diff -P -I scripts $(GENERATED)

docs: $(VENV)/.dev  ## write the generated parts of the docs anew
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/cog -r -P -I scripts $(GENERATED)

format: $(VENV)/.dev  ## let ruff fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

report: $(VENV)/.targets emulated  ## measure pulse-nano on this machine: build/report/report.html
	$(MAKE) -j 2 $(KINDS:%=build/bundles/%/manifest.json)
	rm -rf build/report
	$(BIN)/pulse-bench report $(KINDS:%=build/bundles/%) --data $(DATA) --context 64,128,256,512,900 \
	    --estimate all --emulated aarch64 $(SIMULATED) $(if $(OLD),--compare $(OLD)) --out build/report

picture: $(BUNDLE)/manifest.json  ## draw the README's picture anew
	$(BIN)/python scripts/answer_picture.py $(BUNDLE) pulse/ecg/examples/c-infarction.png docs/answer.png

screenshots: $(BUNDLE)/manifest.json $(VENV)/.app screen  ## draw the pictures of the app anew: docs/screens, build/screens
	$(BIN)/python scripts/screenshots.py build/screens docs/screens

phone: $(BUNDLE)/manifest.json  ## lay out build/phone, what buildozer and kivy-ios build the phones' apps from
	scripts/phone_sources.sh $(BUNDLE) build/phone

emulated: $(VENV)/.demo  ## an aarch64 userland for --emulated and emulated://aarch64, in ~/.cache/pulse-edge
	$(BIN)/python -m export.certificate.userland

tosa: $(VENV)/.demo  ## Arm's TOSA tools for python -m export.tosa, in an environment of their own in ~/.cache/pulse-edge
	$(BIN)/python -m export.tosa --setup

lock: $(VENV)/.venv  ## resolve requirements.lock anew from pyproject.toml, for every supported Python
	$(PIP) uv
	$(BIN)/uv pip compile pyproject.toml --universal --extra all --extra dev --extra peers --python-version 3.11 --upgrade --quiet \
	    --no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements.lock

clean:  ## remove the virtual environment and everything that was built
	rm -rf $(VENV) $(QUICK) build dist *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# The sources that decide what is in the bundle; the export is repeated only when one of them is newer.
$(BUNDLE)/manifest.json: $(wildcard pulse/nano/*) | $(VENV)/.demo
	rm -rf $(BUNDLE)
	$(BIN)/pulse-export pulse-nano --target onnx --out $(BUNDLE)

# The shipped student in other kinds of weights. It is 4 bits on disk: wider kinds are made of those, and hold no more.
build/bundles/%-int4/manifest.json: $(wildcard pulse/nano/*) | $(VENV)/.targets
	rm -rf $(@D)
	$(BIN)/pulse-export pulse-nano --target $* --out $(@D)

build/bundles/%-float16/manifest.json: $(wildcard pulse/nano/*) | $(VENV)/.targets
	rm -rf $(@D)
	$(BIN)/pulse-export pulse-nano --target $* --weights float16 --out $(@D)

build/bundles/%-int8/manifest.json: build/checkpoints/int8/config.json | $(VENV)/.targets
	rm -rf $(@D)
	$(BIN)/pulse-export build/checkpoints/int8 --target $* --out $(@D)

build/checkpoints/int8/config.json: $(wildcard pulse/nano/*) | $(VENV)/.targets
	rm -rf build/checkpoints
	$(BIN)/pulse-quantize pulse-nano --scheme float16 --out build/checkpoints/float16
	$(BIN)/pulse-quantize build/checkpoints/float16 --scheme int8 --out build/checkpoints/int8

$(VENV)/.venv: scripts/venv.sh
	PYTHON=$(PYTHON) scripts/venv.sh $(VENV)
	@touch $@

# onnx writes the tests' tiny bundle; nothing else here is more than the base install and its tests need.
$(QUICK)/.done: scripts/venv.sh pyproject.toml requirements.lock
	PYTHON=$(PYTHON) scripts/venv.sh $(QUICK)
	$(QUICK)/bin/python -m pip install --disable-pip-version-check --quiet -c requirements.lock \
	    -e '.[sign]' onnx pytest pytest-timeout
	@touch $@

$(VENV)/.demo: $(VENV)/.venv pyproject.toml requirements.lock
	$(PIP) -e '.[export]'
	@touch $@

$(VENV)/.app: $(VENV)/.demo
	$(PIP) -e '.[export,demo]'
	@touch $@

$(VENV)/.targets: $(VENV)/.demo
	$(PIP) -e '.[targets,bench$(VENDORS)]'
	@touch $@

# An X server in memory for the tests that open windows; instant when it is there.
.PHONY: screen
screen:
	@scripts/screen.sh

$(VENV)/.dev: $(VENV)/.venv pyproject.toml requirements.lock
	$(PIP) -e '.[dev]'
	@touch $@

# A server, a client and another processor for the tests of devices; instant when they are there.
.PHONY: devices
devices: $(VENV)/.dev
	@scripts/devices.sh $(BIN)/python
