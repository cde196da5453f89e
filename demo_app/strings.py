"""Every word the app says: one file for each language in languages/, which names itself. To add one is to add a file.

A file is called CODE.json and holds {"language": {"code", "name"}, "texts": {key: text}}. English has every text. What
another language lacks is said in English, and the settings screen says so. The model itself answers in the language it
was trained in.
"""

from __future__ import annotations

import json
import locale
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edge_runtime.errors import UserError, shorten
from edge_runtime.fields import Fields
from edge_runtime.findings import Finding

WHOLE = "en"
"""The language that has every text, and that the others fall back to."""
_FOLDER = Path(__file__).resolve().parent / "languages"


@dataclass(frozen=True)
class Language:
    """code: as in the locale ("de"). name: in the language itself. texts: every key, in English where it lacks one.

    percent: how many of English's texts it has of its own, 0 to 100, rounded down.
    """

    code: str
    name: str
    texts: Mapping[str, str]
    percent: int = 100


@cache
def languages(folder: Path = _FOLDER) -> dict[str, Language]:
    """The folder's languages by code, in the codes' order. Raises UserError naming the file and what is wrong in it."""
    whole = _read(folder / f"{WHOLE}.json")
    others = [_read(path) for path in folder.glob("*.json") if path.stem != WHOLE]
    found = [whole, *(_completed(other, whole, folder / f"{other.code}.json") for other in others)]
    return {language.code: language for language in sorted(found, key=lambda language: language.code)}


def _read(path: Path) -> Language:
    try:
        root = Fields(json.loads(path.read_text(encoding="utf-8")), path.name)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error}); correct it") from None
    about, texts = root.child("language"), root.child("texts")
    language = Language(about.text("code"), about.text("name"), {key: texts.text(key) for key in texts.data})
    if language.code != path.stem:
        raise UserError(f"{path}: its language's code is {shorten(language.code)}; call the file {language.code}.json")
    return language


def _completed(language: Language, whole: Language, path: Path) -> Language:
    """With English where it lacks a text; its own texts must fit the places where they are said."""
    for key, text in language.texts.items():
        if key not in whole.texts:
            raise UserError(f"{path}: the app has no text {shorten(key)}; remove it or correct its name")
        if _places(text) != _places(whole.texts[key]):
            places = " ".join(_places(whole.texts[key])) or "none"
            raise UserError(f"{path}: {key} must hold the placeholders of {whole.code}.json ({places}), each as often")
    percent = 100 * len(language.texts) // len(whole.texts)
    return Language(language.code, language.name, {**whole.texts, **language.texts}, percent)


def _places(text: str) -> list[str]:
    """The placeholders, such as "{name}", and every single brace, which would be none."""
    return sorted(re.findall(r"\{\w+\}|[{}]", text))


def translate(language: str, key: str, **values: object) -> str:
    """The text for `key`. Raises KeyError for an unknown key: a missing text is a fault, not something to show."""
    text = languages()[language].texts[key]
    return text.format(**values) if values else text


def finding_name(language: str, finding: Finding) -> str:
    """A finding in the app's language; the bundle's own name for one the app has no word for, or that was learnt."""
    if finding.examples:
        return translate(language, "result.finding.learnt", name=finding.name, examples=finding.examples)
    return label_name(language, finding.label, finding.name)


def label_name(language: str, label: str, name: str) -> str:
    """The app's word for a finding's label; `name` where it has none."""
    return languages()[language].texts.get(f"finding.{label}", name)


def finding_worth(language: str, finding: Finding) -> str:
    """What naming a finding is worth, in the app's language; "" where it was not measured."""
    if finding.sensitivity is None or finding.precision is None:
        return ""
    found, right = round(100 * finding.sensitivity), round(100 * finding.precision)
    return translate(language, "result.finding.worth", sensitivity=found, precision=right)


def system_language() -> str:
    """The system's language if the app speaks it, else English."""
    named = next((v for k in ("LC_ALL", "LC_MESSAGES", "LANG") if (v := os.environ.get(k))), None)
    place = (named or locale.getlocale()[0] or WHOLE).partition(".")[0]  # "de_AT.UTF-8"
    return next((code for code in (place, place.partition("_")[0].lower()) if code in languages()), WHOLE)
