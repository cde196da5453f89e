# Every target does its own set-up on a fresh Debian machine that has only make and python3.
# The second run is instant: stamp files in the virtual environment remember what is installed.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c requirements.lock

BUNDLE := build/pulse-nano-onnx
PAGE   ?= $(firstword $(sort $(wildcard pulse/ecg/examples/*.png)))

# What `make report` measures. DATA: "sample", the records in the project, or a PTB-XL folder; OLD: an earlier
# report.json to hold the new one against.
KINDS  := $(foreach target,onnx executorch coreml,$(foreach weights,float16 int8 int4,$(target)-$(weights)))
DATA   ?= sample
OLD    ?=

.DEFAULT_GOAL := help
.PHONY: help demo app test test-all lint format report picture screenshots phone emulated lock clean

help:  ## say what the targets do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | while IFS="$$(printf '\t')" read -r n t; do printf '  make %-10s %s\n' "$$n" "$$t"; done

demo: $(BUNDLE)/manifest.json  ## export pulse-nano to ONNX and ask it about a real ECG page
	$(BIN)/pulse-ask $(BUNDLE) $(PAGE)

app: $(BUNDLE)/manifest.json $(VENV)/.app  ## export pulse-nano to ONNX and open the app
	$(BIN)/pulse-demo

test: $(VENV)/.dev screen devices  ## the tests but the slow ones; edge_runtime must be covered to 90 %
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile --cov=edge_runtime --cov-fail-under=90

test-all: $(VENV)/.dev screen devices  ## all tests
	$(BIN)/python -m pytest

lint: $(VENV)/.dev  ## ruff, mypy, and the order of the folders
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

report: $(VENV)/.targets emulated  ## measure pulse-nano on this machine: build/report/report.html
	$(MAKE) -j 2 $(KINDS:%=build/bundles/%/manifest.json)
	rm -rf build/report
	$(BIN)/pulse-bench report $(KINDS:%=build/bundles/%) --data $(DATA) --context 64,128,256,512,900 \
	    --estimate all --emulated aarch64 $(if $(OLD),--compare $(OLD)) --out build/report

picture: $(BUNDLE)/manifest.json  ## draw the README's picture anew
	$(BIN)/python scripts/answer_picture.py $(BUNDLE) pulse/ecg/examples/c-infarction.png docs/answer.png

screenshots: $(BUNDLE)/manifest.json $(VENV)/.app screen  ## draw the pictures of the app anew: docs/screens, build/screens
	$(BIN)/python scripts/screenshots.py build/screens docs/screens

phone: $(BUNDLE)/manifest.json  ## lay out build/phone, what buildozer and kivy-ios build the phones' apps from
	scripts/phone_sources.sh $(BUNDLE) build/phone

emulated: $(VENV)/.demo  ## an aarch64 userland for --emulated and emulated://aarch64, in ~/.cache/pulse-edge
	$(BIN)/python -m export.certificate.userland

lock: $(VENV)/.venv  ## resolve requirements.lock anew from pyproject.toml, for every supported Python
	$(PIP) uv
	$(BIN)/uv pip compile pyproject.toml --universal --extra all --extra dev --extra peers --python-version 3.11 --upgrade --quiet \
	    --no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements.lock

clean:  ## remove the virtual environment and everything that was built
	rm -rf $(VENV) build dist *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

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

$(VENV)/.demo: $(VENV)/.venv pyproject.toml requirements.lock
	$(PIP) -e '.[export]'
	@touch $@

$(VENV)/.app: $(VENV)/.demo
	$(PIP) -e '.[export,demo]'
	@touch $@

$(VENV)/.targets: $(VENV)/.demo
	$(PIP) -e '.[targets,bench]'
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
