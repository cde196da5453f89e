"""What is known of one ECG, in the words that a student should answer with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pulse.ecg.labels import AXES
from pulse.ecg.ptbxl import SUPERCLASSES, scp_statements, superclasses

NOT_AN_ECG = "This picture does not look like an ECG page."

# PTB-XL's own wording where it reads as a finding; these are abbreviations or fragments there.
_WORDS = {
    "ISC_": "non-specific ischemic ST-T changes",
    "ISCAL": "ischemic ST-T changes in anterolateral leads",
    "ISCIN": "ischemic ST-T changes in inferior leads",
    "ISCIL": "ischemic ST-T changes in inferolateral leads",
    "ISCAS": "ischemic ST-T changes in anteroseptal leads",
    "ISCLA": "ischemic ST-T changes in lateral leads",
    "ISCAN": "ischemic ST-T changes in anterior leads",
    "IVCD": "non-specific intraventricular conduction disturbance",
    "PACE": "paced rhythm",
    "BIGU": "bigeminal pattern",
    "TRIGU": "trigeminal pattern",
    "LVOLT": "low QRS voltages",
    "VCLVH": "voltage criteria for left ventricular hypertrophy",
    "EL": "electrolytic disturbance or drug effect",
    "DIG": "digitalis effect",
    "LNGQT": "long QT interval",
    "ABQRS": "abnormal QRS",
    "QWAVE": "Q waves",
    "PVC": "ventricular premature complexes",
    "PAC": "atrial premature complexes",
    "PRC(S)": "premature complexes",
}


def statement_words(code: str) -> str:
    """The finding behind an SCP code, in lower case but for acronyms; raises KeyError for a code that is none."""
    return _WORDS.get(code) or scp_statements()[code].description


def classes_text(classes: Sequence[str]) -> str:
    return "; ".join(classes) or "None of these"


@dataclass(frozen=True)
class Facts:
    """Labels of one page; axis is PTB-XL's code or "", rate is beats a minute or None where it is not known.

    unsaid: codes that the words leave out, though they count for the classes. turns: quarter turns to the left by which
    the page lies turned; whole: all of its leads are in the picture.
    """

    scp_codes: dict[str, float] = field(default_factory=dict)
    axis: str = ""
    rate: float | None = None
    is_ecg: bool = True
    unsaid: frozenset[str] = frozenset()
    turns: int = 0
    whole: bool = True

    def classes(self) -> tuple[str, ...]:
        """Diagnostic superclasses, in the order of `SUPERCLASSES`."""
        found = superclasses(self.scp_codes)
        return tuple(name for name in SUPERCLASSES if name in found)

    def classes_text(self) -> str:
        return classes_text(self.classes())

    def rhythm_text(self) -> str:
        """One sentence, "" when no statement names the rhythm."""
        words = [statement_words(code) for code in self._statements(rhythm=True)]
        return _sentence(" with ".join(words[:2])) if words else ""

    def axis_text(self) -> str:
        """One sentence, "" when the axis is not known."""
        return _sentence(AXES[self.axis]) if self.axis in AXES else ""

    def rate_text(self) -> str:
        """Rounded to five: what a reader can tell from a page, and few enough answers to learn. "" when not known."""
        return "" if self.rate is None else f"About {5 * round(self.rate / 5)} beats per minute."

    def findings_text(self) -> str:
        words = [statement_words(code) for code in self._statements(rhythm=False)]
        return _sentence("; ".join(words)) if words else "No other findings."

    def report(self) -> str:
        """Rhythm, rate, axis, findings, conclusion: one short paragraph."""
        if not self.is_ecg:
            return NOT_AN_ECG
        normal = self.classes() == ("NORM",)
        parts = [self.rhythm_text(), self.rate_text(), self.axis_text(), self.findings_text()]
        parts.append(f"Conclusion: {'normal' if normal else 'abnormal'} ECG.")
        return " ".join(part for part in parts if part)

    def _statements(self, *, rhythm: bool) -> list[str]:
        """Codes of the rhythm statements, or of the others, in the table's order so that one ECG has one report."""
        table, named = scp_statements(), self.scp_codes.keys() - self.unsaid
        return [code for code in table if code in named and table[code].rhythm == rhythm]


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."
