"""Both languages whole, every text used, every colour readable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import demo_app
from demo_app.strings import LANGUAGES, TEXTS, finding_name, system_language, translate

SOURCES = "\n".join(p.read_text(encoding="utf-8") for p in Path(demo_app.__file__).parent.rglob("*.py"))
# Keys that are put together: f"nav.{place}" and their like.
BUILT = re.findall(r'(?:t|translate)\(\s*(?:language, )?f["\']([a-z_.]+\.)\{', SOURCES)


def test_languages_have_the_same_keys_and_placeholders():
    assert TEXTS.keys() == LANGUAGES.keys() == {"en", "de"}
    assert TEXTS["en"].keys() == TEXTS["de"].keys()
    for key, text in TEXTS["en"].items():
        assert text.strip()
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", TEXTS["de"][key])), key


def test_german_is_german():
    same = {key for key, text in TEXTS["en"].items() if TEXTS["de"][key] == text}
    assert same <= {
        "engine.onnx", "engine.executorch", "engine.coreml", "models.digest", "settings.theme.system",
        "settings.language.system", "bench.p90", "settings.text.1", "history.title",
    }  # fmt: skip


def test_every_text_is_used_and_every_used_text_exists():
    used = set(re.findall(r'["\']([a-z]+\.[a-z0-9_.]+)["\']', SOURCES))
    for key in TEXTS["en"]:
        plain = "." not in key
        assert plain or key in used or any(key.startswith(prefix) for prefix in [*BUILT, "finding.", "quality."]), key
    for key in re.findall(r'\bt\("([a-z0-9_.]+)"', SOURCES):
        assert key in TEXTS["en"]


def test_unknown_key_is_a_fault():
    with pytest.raises(KeyError):
        translate("en", "no.such.key")


def test_findings_are_named_in_the_language_if_the_app_knows_them():
    assert finding_name("de", "MI", "myocardial infarction") == "Herzinfarkt"
    assert finding_name("de", "XYZ", "something new") == "something new"


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
