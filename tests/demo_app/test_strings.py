"""Every language complete, every key that the code can form there, every text used, every colour readable."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path

import pytest

import demo_app
from demo_app.benchmark import ROWS
from demo_app.evidence import UNITS
from demo_app.paths import EXAMPLES
from demo_app.settings import TEXT_SIZES, THEMES
from demo_app.strings import finding_name, languages, system_language, translate
from edge_runtime.errors import UserError
from edge_runtime.findings import Finding
from edge_runtime.page.quality import HINTS

PACKAGE = Path(demo_app.__file__).parent
FOLDER = PACKAGE / "languages"
TREES = [ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")]
NODES = [node for tree in TREES for node in ast.walk(tree)]
LITERALS = {node.value for node in NODES if isinstance(node, ast.Constant) and isinstance(node.value, str)}
ENGLISH = json.loads((FOLDER / "en.json").read_text(encoding="utf-8"))["texts"]
EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "fr.json"


def called(*names):
    """The calls of functions and methods of these names."""
    calls = [node for node in NODES if isinstance(node, ast.Call)]
    return [
        c for c in calls if (c.func.attr if isinstance(c.func, ast.Attribute) else getattr(c.func, "id", "")) in names
    ]


def constant(name):
    """What a module of the window assigns to a name; importing the module would open a window."""
    (found,) = (n.value for n in NODES if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == name)
    return ast.literal_eval(found)


def pattern(joined):
    """An f-string with {} for whatever is put in."""
    return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in joined.values)


def formed():
    """The keys that each f-string can form: a new f-string must get its values here."""
    errors = {call.args[0].value for call in called("explain", "failing") if isinstance(call.args[0], ast.Constant)}
    values = {
        "bench.{}": [row for row, _ in ROWS],
        "browse.{}": constant("ENDINGS"),
        "error.{}": errors,
        "example.{}": [path.stem for path in EXAMPLES.glob("*.jpg")],
        "measured.{}": UNITS,
        "similar.{}": ["male", "female"],
        "measured.is.{}": ["low", "high", "high_in_men", "left", "right"],
        "measured.problem.{}": ["grid", "leads", "beats"],
        "models.signed.{}": ["not", "checked", "unchecked"],
        "nav.{}": [place for place, _ in constant("PLACES")],
        "quality.{}": HINTS,
        "result.{}": ["waiting", "looking", "answering", "findings"],  # the stages of state.Case
        "settings.text.{}": range(len(TEXT_SIZES)),
        "settings.theme.{}": THEMES,
    }
    return {key: [key.format(value) for value in known] for key, known in values.items()}


def test_every_key_that_the_code_can_form_is_in_every_language():
    keys = [argument for call in called("t", "translate") for argument in call.args[:2]]
    assert {pattern(key) for key in keys if isinstance(key, ast.JoinedStr)} == formed().keys()
    sections = {key.partition(".")[0] for key in ENGLISH if "." in key}
    spelled = {key.value for key in keys if isinstance(key, ast.Constant)}
    # A key may also reach t() in a variable: whatever looks like one is one, but for files' names.
    spelled |= {
        word
        for word in LITERALS
        if re.fullmatch(r"[a-z]+(\.(?!json$|sqlite$)[a-z0-9_]+)+", word) and word.partition(".")[0] in sections
    }
    for code, language in languages().items():
        missing = (spelled | {key for known in formed().values() for key in known}) - language.texts.keys()
        assert missing == set(), code


def test_explained_errors_are_named_by_a_literal():
    """So that the test above sees them all: only failing() hands a variable on."""
    handed_on = [call for call in called("explain", "failing") if not isinstance(call.args[0], ast.Constant)]
    assert len(handed_on) == 1


def test_every_text_is_used():
    keys = {key for known in formed().values() for key in known}
    for key in ENGLISH:
        assert key in LITERALS or key in keys or key.startswith("finding."), key


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_languages_that_come_with_the_app_are_complete(path):
    texts = json.loads(path.read_text(encoding="utf-8"))["texts"]
    assert texts.keys() == ENGLISH.keys()
    assert all(text.strip() for text in texts.values())
    assert languages()[path.stem].percent == 100


def test_german_is_german():
    same = {key for key, text in ENGLISH.items() if languages()["de"].texts[key] == text}
    assert same <= {
        "models.digest", "settings.theme.system", "settings.language.system", "bench.p90", "settings.text.1",
        "history.title", "measured.normal", "measured.qtc_bazett_ms", "measured.qtc_fridericia_ms",
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(FOLDER, tmp_path / "languages"))


def test_a_file_more_is_a_language_more_and_english_where_it_lacks_a_text(folder):
    shutil.copy(EXAMPLE, folder)
    found = languages(folder)
    french = found["fr"]
    assert list(found) == ["de", "en", "fr"]
    assert (french.name, french.texts["nav.settings"]) == ("Français", "Réglages")
    assert 0 < french.percent < 100
    assert french.texts["bench.body"] == ENGLISH["bench.body"]
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "must be"),
        ("{", "is not JSON"),
        ({"texts": {}}, "language"),
        ({"language": {"code": "es", "name": "Español"}, "texts": {}}, r"call the file es\.json"),
        ({"language": {"code": "xx", "name": "X"}, "texts": {"no.such": "x"}}, r"has no text 'no\.such'"),
        ({"language": {"code": "xx", "name": "X"}, "texts": {"back": 7}}, "back"),
        (
            {"language": {"code": "xx", "name": "X"}, "texts": {"home.resume": "x"}},
            r"xx\.json: home\.resume.*\{title\}",
        ),
        ({"language": {"code": "xx", "name": "X"}, "texts": {"back": "x {"}}, "placeholders"),
    ],
)
def test_wrong_language_file_is_named(folder, content, message):
    (folder / "xx.json").write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        languages(folder)
    assert "xx.json" in str(caught.value)


def test_unknown_key_is_a_fault():
    with pytest.raises(KeyError):
        translate("en", "no.such.key")


def test_findings_are_named_in_the_language_if_the_app_knows_them():
    assert finding_name("de", Finding("MI", "myocardial infarction", 0.5)) == "Herzinfarkt"
    assert finding_name("de", Finding("XYZ", "something new", 0.5)) == "something new"
    assert "aus 10 Beispielen" in finding_name("de", Finding("XYZ", "something new", 0.5, examples=10))


@pytest.mark.parametrize(
    ("environ", "code"),
    [({"LANG": "de_AT.UTF-8"}, "de"), ({"LANG": "fr_FR.UTF-8"}, "en"), ({"LC_ALL": "en_US", "LANG": "de_DE"}, "en")],
)
def test_language_follows_the_system(monkeypatch, environ, code):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert system_language() == code


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_words_are_readable_on_what_they_stand_on(name):
    from demo_app.themes import THEMES

    theme = THEMES[name]
    behind = {
        "text": "back card raised",
        "muted": "back card raised",
        "accent": "card accent_soft",
        "danger": "back card",
    }
    pairs = [(front, back) for front, backs in behind.items() for back in backs.split()]
    pairs += [("on_accent", "accent"), ("warn_text", "warn_back")]
    for front, back in pairs:
        assert contrast(getattr(theme, front), getattr(theme, back)) >= 4.5, (front, back)
