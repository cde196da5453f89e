"""Which extra a missing package is laid to."""

from __future__ import annotations

from importlib import metadata

import pytest

from edge_runtime.extras import extra_of, missing_package

REQUIRES = [
    "numpy>=2.0",
    'opencv-python-headless>=4.10; extra == "ecg"',
    'cryptography>=45; extra == "sign"',
    'pulse-edge[ecg,sign]; extra == "export"',
    'torch>=2.13; extra == "export"',
    'pulse-edge[export]; extra == "targets"',
    'executorch==1.5.1; python_version < "3.14" and extra == "targets"',
    'gguf>=0.17; extra == "targets"',
    'pulse-edge[export]; extra == "peers"',
    'gguf>=0.17; extra == "peers"',
    'llama-cpp-python>=0.3.16; extra == "peers"',
    'pulse-edge[peers,targets]; extra == "all"',
    'executorch==1.5.1; extra == "dev"',
]


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda name: REQUIRES)


@pytest.mark.parametrize(
    ("distribution", "command", "extra"),
    [
        ("torch", "export", "export"),
        ("cryptography", "export", "export"),  # through pulse-edge[sign]
        ("cryptography", None, "sign"),
        ("executorch", "export", "targets"),  # its marker names a Python too; dev gathers more
        ("gguf", "export", "targets"),  # the first that names it
        ("gguf", "peers", "peers"),
        ("sympy", "export", "export"),  # comes with another package
        ("sympy", None, None),
    ],
)
def test_the_extra_that_brings_a_package(distribution, command, extra):
    assert extra_of(distribution, command) == extra


def missing(name, command):
    return missing_package(ModuleNotFoundError(f"No module named {name!r}", name=name), command)


def test_the_line_names_the_package_and_the_command_to_type():
    assert str(missing("torch", "pulse-export")) == (
        "needs the package torch, which is not installed; pip install 'pulse-edge[export]'"
    )
    assert "'pulse-edge[ecg]'" in str(missing("cv2.gapi", "pulse-ask"))
    assert "pip install 'pulse-edge[peers]'" in str(missing("llama_cpp", "pulse-bench"))
    assert "pip install 'tokenizers'" in str(missing("tokenizers", "pulse-ask"))


def test_a_module_of_ours_that_is_missing_is_a_fault_not_an_extra():
    assert missing("export.targets.no_such", "pulse-export") is None
    assert missing_package(ModuleNotFoundError("without a name"), "pulse-export") is None


def test_a_source_tree_that_is_not_installed_names_the_commands_own_extra(monkeypatch):
    def requires(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert "'pulse-edge[export]'" in str(missing("torch", "pulse-export"))
    assert "pip install 'executorch'" in str(missing("executorch", "pulse-ask"))
