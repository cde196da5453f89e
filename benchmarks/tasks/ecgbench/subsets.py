"""The nine subsets of ECGBench: what each holds and by which rule its answers are scored (arXiv 2410.19008)."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.errors import UserError


@dataclass(frozen=True)
class Subset:
    """rows: as published. kind: "labels" (several of classes), "letter" (multiple choice), "options" (a set out of the
    prompt's own), "report" or "arena" (free text, judged). classes: codes, or the letters. exact: PULSE's evaluation
    skips a file that has not exactly `rows` rows. findings: class -> the superclass or SCP statement whose probability
    stands for it beside the answer in words; a class without one (ABNORMAL) has none."""

    name: str
    rows: int
    kind: str
    classes: tuple[str, ...] = ()
    exact: bool = False
    findings: tuple[tuple[str, str], ...] = ()


_PTB = ("NORM", "MI", "STTC", "CD", "HYP")
_CODE15 = (("NORM", "NORM"), ("1dAVb", "1AVB"), ("RBBB", "CRBBB"), ("LBBB", "CLBBB"), ("SB", "SBRAD"), ("ST", "STACH"),
           ("AF", "AFIB"))  # fmt: skip
_CPSC = (("NORM", "NORM"), ("AF", "AFIB"), ("I-AVB", "1AVB"), ("LBBB", "CLBBB"), ("RBBB", "CRBBB"), ("PAC", "PAC"),
         ("PVC", "PVC"), ("STD", "STD_"), ("STE", "STE_"))  # fmt: skip

SUBSETS = {
    subset.name: subset
    for subset in (
        Subset("ptb-test", 2082, "labels", _PTB, findings=tuple((name, name) for name in _PTB)),
        Subset("ptb-test-report", 500, "report"),
        Subset(
            "code15-test", 1400, "labels", ("NORM", "ABNORMAL", *(name for name, _ in _CODE15[1:])), findings=_CODE15
        ),
        Subset("ecgqa-test", 1317, "options"),
        Subset("cpsc-test", 2061, "labels", tuple(name for name, _ in _CPSC), findings=_CPSC),
        Subset("csn-test-no-cot", 1611, "letter", tuple("ABCDEFGH"), exact=True),
        Subset("g12-test-no-cot", 2026, "letter", tuple("ABCDEFGH"), exact=True),
        Subset("mmmu-ecg", 200, "letter", tuple("ABCD"), exact=True),
        Subset("arena", 50, "arena"),
    )
}


def check_rows(subset: Subset, rows: int) -> None:
    """Raises UserError where PULSE's evaluation would skip the file: another count than the published one."""
    if subset.exact and rows != subset.rows:
        raise UserError(f"{subset.name}: {rows} answers, but it is scored on exactly {subset.rows}; answer every row")
