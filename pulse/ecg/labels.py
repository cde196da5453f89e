"""PTB-XL's labels by name: superclasses, axes, and the SCP-ECG statements in words."""

from __future__ import annotations

SUPERCLASS_NAMES = {
    "NORM": "normal ECG",
    "MI": "myocardial infarction",
    "STTC": "ST/T change",
    "CD": "conduction disturbance",
    "HYP": "hypertrophy",
}
AXES = {
    "MID": "normal axis",
    "LAD": "left axis deviation",
    "ALAD": "marked left axis deviation",
    "RAD": "right axis deviation",
    "ARAD": "marked right axis deviation",
}
