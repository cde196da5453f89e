"""An answer as FHIR R4: a DiagnosticReport, an Observation for each finding and interval, the model as their Device.

http://hl7.org/fhir/R4/diagnosticreport.html. They come as a transaction, which a FHIR server takes as it is. Nobody has
verified them, so they are preliminary; whose ECG it is they do not say, since a picture does not.
"""

from __future__ import annotations

import html
import uuid
from datetime import datetime
from typing import Any

from edge_runtime import __version__
from edge_runtime.answer import Answer
from edge_runtime.bundle import Provenance
from edge_runtime.findings import Finding

# As the PhysioNet/Computing in Cardiology Challenges 2020 and 2021 code them: dx_mapping_scored.csv and
# dx_mapping_unscored.csv of https://github.com/physionetchallenges/evaluation-2021. By name, since a label may mean
# something else in another bundle; what is not there in the same meaning ("normal ECG", PTB-XL's classes) has no code.
SNOMED = {
    "myocardial infarction": "164865005",
    "atrial fibrillation": "164889003",
    "paced rhythm": "10370003",
    "complete left bundle branch block": "733534002",
    "complete right bundle branch block": "713427006",
    "first degree AV block": "270492004",
    "left ventricular hypertrophy": "164873001",
    "ventricular premature complexes": "427172004",
}
# https://loinc.org: code, name, unit (UCUM). The rate is not 8867-4: that is a vital sign, whose profile demands a
# patient and a time.
LOINC = {
    "rate_bpm": ("76282-3", "Heart rate", "/min"),
    "pr_ms": ("8625-6", "PR interval", "ms"),
    "qrs_ms": ("8633-0", "QRS duration", "ms"),
    "qt_ms": ("8634-8", "QT interval", "ms"),
    "qtc_bazett_ms": ("76635-2", "QT interval corrected by Bazett's formula", "ms"),
    "qtc_fridericia_ms": ("76634-5", "QT interval corrected by Fridericia's formula", "ms"),
    "p_axis_deg": ("8626-4", "P wave axis", "deg"),
    "qrs_axis_deg": ("8632-2", "QRS axis", "deg"),
    "t_axis_deg": ("8638-9", "T wave axis", "deg"),
}
_STUDY = "11524-6"  # EKG study
_SCT, _LNC, _UCUM = "http://snomed.info/sct", "http://loinc.org", "http://unitsofmeasure.org"
_HL7 = "http://terminology.hl7.org/CodeSystem"

Resource = dict[str, Any]


def transaction(answer: Answer, model: Provenance, issued: datetime) -> Resource:
    """A Bundle of an answer; one to a picture that is no ECG is a cancelled report without results.

    issued: with its time zone. What was measured is an Observation each; what could not be is left out.
    """
    device = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'sha256:{model.digest}')}"  # the same for each of its answers
    common = {"status": "preliminary", "issued": issued.isoformat(timespec="milliseconds")}
    about = {**common, "category": [_coded(f"{_HL7}/observation-category", "procedure")], "device": _reference(device)}
    values = {} if answer.evidence is None else answer.evidence.measurements.as_json()
    measured = {key: value for key in LOINC if (value := values.get(key)) is not None}
    results = [
        *({**_observed_finding(found), **about} for found in answer.findings),
        *({**_observed_interval(key, value), **about} for key, value in measured.items()),
    ]
    named = {f"urn:uuid:{uuid.uuid4()}": result for result in results}
    report = {**_report(answer, model), **common, "result": [_reference(url) for url in named]}
    if answer.finish_reason == "not_ecg":
        report["status"] = "cancelled"
    if not named:
        del report["result"]  # FHIR has no empty lists
    entries = [_entry(f"urn:uuid:{uuid.uuid4()}", report), _entry(device, _device(model, device), once=True)]
    entries += [_entry(url, result) for url, result in named.items()]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _report(answer: Answer, model: Provenance) -> Resource:
    words = "".join(f"<p>{html.escape(text)}</p>" for text in (model.notice, answer.text))
    likely = [found for found in answer.findings if found.likely and found.name in SNOMED]
    report = {
        "resourceType": "DiagnosticReport",
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{words}</div>'},
        "category": [_coded(f"{_HL7}/v2-0074", "EC")],  # electrocardiac
        "code": _coded(_LNC, _STUDY, "EKG study"),
        "conclusion": f"{answer.text}\n\n{model.notice}",
    }
    return {**report, "conclusionCode": [_finding_code(found) for found in likely]} if likely else report


def _device(model: Provenance, identity: str) -> Resource:
    """What gave the answer, by the digests that tell its every byte."""
    versions = {
        "pulse-edge": __version__,
        "target": model.target,
        "SHA-256 of the bundle's manifest.json": model.digest,
        "SHA-256 of the bundle's certificate.json": model.certificate,
    }
    return {
        "resourceType": "Device",
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": identity}],
        "status": "active",
        "deviceName": [{"name": model.name, "type": "model-name"}],
        "type": {"text": "Research software that reads pictures of ECGs; not a medical device"},
        "version": [{"type": {"text": what}, "value": value} for what, value in versions.items() if value],
        "note": [{"text": model.notice}],
    }


def _observed_finding(found: Finding) -> Resource:
    """True from its operating point on; the evidence for that in components."""
    records = "its own examples, each left out in turn" if found.examples else "validation records"
    parts = {
        "probability": found.probability,
        "operating point: named from this probability on": found.point,
        f"sensitivity there, on {records}": found.sensitivity,
        "precision there, on validation records": found.precision,
        "examples that it was learnt from": found.examples or None,
    }
    return {
        "resourceType": "Observation",
        "code": _finding_code(found),
        "valueBoolean": found.likely,
        "component": [
            {"code": {"text": what}, "valueQuantity": _quantity(round(value, 4), "1")}
            for what, value in parts.items()
            if value is not None
        ],
    }


def _observed_interval(key: str, value: float) -> Resource:
    code, name, unit = LOINC[key]
    return {
        "resourceType": "Observation",
        "code": _coded(_LNC, code, name),
        "valueQuantity": _quantity(round(value, 1), unit),
    }


def _finding_code(found: Finding) -> Resource:
    code = SNOMED.get(found.name)
    return {"text": found.name} if code is None else _coded(_SCT, code, found.name)


def _coded(system: str, code: str, text: str = "") -> Resource:
    coding = {"coding": [{"system": system, "code": code}]}
    return {**coding, "text": text} if text else coding


def _quantity(value: float, unit: str) -> Resource:
    return {"value": value, "unit": unit, "system": _UCUM, "code": unit}


def _reference(url: str) -> Resource:
    return {"reference": url}


def _entry(url: str, resource: Resource, once: bool = False) -> Resource:
    """once: a server that has it already does not make it again."""
    request = {"method": "POST", "url": resource["resourceType"]}
    if once:
        request["ifNoneExist"] = f"identifier=urn:ietf:rfc:3986|{url}"
    return {"fullUrl": url, "resource": resource, "request": request}
