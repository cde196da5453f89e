"""Help needs the base install alone, and one verb does not bring another's packages with it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.cli import main
from benchmarks.tasks import TASKS
from benchmarks.verbs import VERBS

# Of the extras; the base install has numpy, Pillow, pypdfium2, tokenizers, onnxruntime, filelock and psutil.
HEAVY = (
    "cv2", "jinja2", "jsonschema", "matplotlib", "onnx", "openai", "pandas", "pyarrow", "safetensors", "scipy",
    "sentencepiece", "sklearn", "threadpoolctl", "torch", "tqdm", "transformers", "wfdb", "yaml",
)  # fmt: skip
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from benchmarks.cli import main
for argv in {calls}:
    try:
        main(argv)
    except SystemExit as done:
        assert done.code in (0, None), argv
    else:
        raise AssertionError(f"{{argv}}: no help")
print("all helped")
"""


def test_every_help_with_the_base_install_alone() -> None:
    calls = [["--help"], *([name, "--help"] for name in VERBS.names())]
    calls += [["accuracy", "--task", name, "--help"] for name in TASKS.names()]
    code = WITHOUT.format(heavy=set(HEAVY), calls=calls)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("all helped\n"), done.stderr[-2000:]
    for name in VERBS.names():
        assert f"usage: pulse-bench {name}" in done.stdout


def test_the_named_verb_alone_is_imported() -> None:
    code = (
        "import sys; from benchmarks.cli import main; main(['pages', '--rounds', '0']);"
        "print([name for name in sys.modules if name.startswith('benchmarks.verbs.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "benchmarks.verbs.pages" in done.stdout
    assert "latency" not in done.stdout


@pytest.mark.parametrize("name", VERBS.names())
def test_a_verb_says_what_it_does_in_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([name, "--help"])
    assert done.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    verb = VERBS.load(name)
    assert "\n" not in verb.help
    assert f"{verb.help[0].upper()}{verb.help[1:]}." in printed
    assert "--json" in printed
