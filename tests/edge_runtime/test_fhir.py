"""FHIR by fhir.resources' models of R4B, in which these four resources are as in R4; codes by their check digits."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_runtime.answer import Answer, Timing
from edge_runtime.ask import main
from edge_runtime.bundle import NANO, Bundle, Provenance
from edge_runtime.evidence import Evidence
from edge_runtime.fhir import LOINC, SNOMED, transaction
from edge_runtime.findings import Finding
from edge_runtime.waves.intervals import Measurements

PAGE = Path(__file__).parents[2] / "demo_app" / "examples" / "a-atrial-fibrillation.jpg"
MODEL = Provenance("tiny", "onnx", "For research < use.", "ab" * 32, None)
FINDINGS = [
    Finding("AFIB", "atrial fibrillation", 0.91234567, 0.5, 0.86, 0.84),
    Finding("MI", "mitral insufficiency", 0.9),  # another bundle's label
    Finding("LVH", "left ventricular hypertrophy", 0.2, 0.35, 0.67, 0.66),
]
MEASURED = Evidence(None, Measurements(rate_bpm=71.66, qt_ms=400.0, t_axis_deg=-30.2, st_mv={"V1": 0.1}))
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def answer(findings=FINDINGS, reason="stop", evidence=None):
    timing = Timing(0, 0, 0, 0, 0, 1, 0)
    return Answer("AF & <more>.", [1], reason, list(findings), 0.9, timing, evidence=evidence)


def validated(bundle):
    """The bundle as the library reads it back; raises what it finds wrong."""
    models = pytest.importorskip("fhir.resources.R4B.bundle")
    return models.Bundle.model_validate_json(json.dumps(bundle))


def of(bundle, kind):
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def test_a_report_with_findings_and_intervals_is_valid():
    bundle = transaction(answer(evidence=MEASURED), MODEL, NOW)
    assert len(validated(bundle).entry) == 2 + 3 + 5
    (report,), (device,) = of(bundle, "DiagnosticReport"), of(bundle, "Device")
    assert report["status"] == "preliminary"
    assert report["issued"] == "2026-01-02T03:04:05.000+00:00"
    assert MODEL.notice in report["conclusion"]
    assert "AF &amp; &lt;more&gt;." in report["text"]["div"]
    assert [code["coding"][0]["code"] for code in report["conclusionCode"]] == ["164889003"]
    assert {version["value"] for version in device["version"]} >= {MODEL.digest, "onnx"}
    urls = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    results = [urls[result["reference"]] for result in report["result"]]
    assert results == of(bundle, "Observation")
    assert all(urls[result["device"]["reference"]] == device for result in results)


def test_findings_have_probability_point_and_a_sure_code_or_none():
    found = of(transaction(answer(), MODEL, NOW), "Observation")
    assert [one["valueBoolean"] for one in found] == [True, True, False]
    assert [one["code"].get("coding", [{}])[0].get("code") for one in found] == ["164889003", None, "164873001"]
    values = [[part["valueQuantity"]["value"] for part in one["component"]] for one in found]
    assert values == [[0.9123, 0.5, 0.86, 0.84], [0.9], [0.2, 0.35, 0.67, 0.66]]


def test_intervals_have_loinc_and_units_and_absent_ones_are_left_out():
    measured = of(transaction(answer([], evidence=MEASURED), MODEL, NOW), "Observation")
    assert [(one["code"]["coding"][0]["code"], one["valueQuantity"]["value"]) for one in measured] == [
        ("76282-3", 72),
        ("8634-8", 400),
        ("76635-2", 437),
        ("76634-5", 424),
        ("8638-9", -30),
    ]
    assert [one["valueQuantity"]["code"] for one in measured] == ["/min", "ms", "ms", "ms", "deg"]


def test_what_is_no_ecg_is_a_cancelled_report_without_results():
    bundle = transaction(answer([], "not_ecg"), MODEL, NOW)
    (report,) = of(bundle, "DiagnosticReport")
    assert (report["status"], "result" in report, "conclusionCode" in report) == ("cancelled", False, False)
    assert len(validated(bundle).entry) == 2


def test_a_model_is_one_device_for_all_its_answers():
    one, other = (transaction(answer(), MODEL, NOW)["entry"] for _ in range(2))
    assert one[1] == other[1]
    assert one[1]["fullUrl"] in one[1]["request"]["ifNoneExist"]
    assert not {entry["fullUrl"] for entry in one} & {entry["fullUrl"] for entry in other} - {one[1]["fullUrl"]}


@pytest.mark.parametrize("fault", ["status", "code", "unknown"])
def test_the_validation_finds_faults(fault):
    bundle = copy.deepcopy(transaction(answer(), MODEL, NOW))
    (observation, *_) = of(bundle, "Observation")
    if fault == "unknown":
        observation["probability"] = 0.9
    else:
        del observation[fault]
    with pytest.raises(ValueError, match="probability" if fault == "unknown" else fault):
        validated(bundle)


def verhoeff(code):
    """Whether the last digit checks the others (Verhoeff 1969): SNOMED CT's release format, 5.1."""
    turned = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    power, check = list(range(10)), 0
    for digit in reversed(code):
        other = power[int(digit)]
        # The dihedral group of order 10.
        a, b = check, other
        check = (a + b) % 5 if a < 5 and b < 5 else (a + b - 5) % 5 + 5 if a < 5 else 0
        if a >= 5:
            check = (a - 5 - b) % 5 + 5 if b < 5 else (a - b) % 5
        power = [power[turned[i]] for i in range(10)]
    return check == 0


def mod10(code):
    """Whether the digit behind the hyphen checks those before it (LOINC Users' Guide, appendix C)."""
    digits, check = code.split("-")
    doubled = [int(digit) * (2 if i % 2 == 0 else 1) for i, digit in enumerate(reversed(digits))]
    return (10 - sum(sum(divmod(value, 10)) for value in doubled) % 10) % 10 == int(check)


def test_codes_are_well_formed():
    assert not verhoeff("164889030")  # the digits of a right one, two of them exchanged
    assert not mod10("8652-6")
    assert [code for code in SNOMED.values() if not verhoeff(code)] == []
    assert [code for code, _, _ in LOINC.values() if not mod10(code)] == []
    known = {found.name for found in Bundle.read(NANO).manifest.inference.findings}
    assert set(SNOMED) <= known


def test_pulse_ask_prints_it(capsys):
    assert main([NANO, str(PAGE), "--fhir", "--threads", "1"]) == 0
    bundle = json.loads(capsys.readouterr().out)
    assert len(of(bundle, "Observation")) > len(Bundle.read(NANO).manifest.inference.findings)  # what is measured
    (report,) = of(bundle, "DiagnosticReport")
    assert "164889003" in {code["coding"][0]["code"] for code in report["conclusionCode"]}
    validated(bundle)
    assert main([NANO, str(PAGE), "--fhir", "--json"]) == 2
    assert "not allowed with" in capsys.readouterr().err
