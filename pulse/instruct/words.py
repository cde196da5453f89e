"""How reports name each finding: PTB-XL's statement in our words, and what cardiologists write for it."""

from __future__ import annotations

from functools import cache

from pulse.ecg.labels import SUPERCLASS_NAMES
from pulse.ecg.ptbxl import scp_statements
from pulse.instruct.facts import statement_words

_ALSO = {
    "NORM": ("normal electrocardiogram", "ECG is normal", "ECG is within normal limits", "otherwise normal ECG"),
    "LVH": ("left ventricular enlargement", "LVH"),
    "RVH": ("right ventricular enlargement", "RVH"),
    "LAO/LAE": ("left atrial enlargement", "left atrial overload", "left atrial abnormality", "p mitrale"),
    "RAO/RAE": ("right atrial enlargement", "right atrial overload", "right atrial abnormality", "p pulmonale"),
    "SEHYP": ("septal hypertrophy",),
    "LAFB": ("left anterior hemiblock", "left anterior fascicular hemiblock", "LAFB"),
    "LPFB": ("left posterior hemiblock", "LPFB"),
    "CLBBB": ("left bundle branch block", "LBBB"),
    "CRBBB": ("right bundle branch block", "RBBB"),
    "ILBBB": ("incomplete LBBB",),
    "IRBBB": ("incomplete RBBB",),
    "IVCD": ("intraventricular conduction disturbance", "intraventricular conduction delay",
             "intraventricular conduction disorder", "intraventricular block"),
    "1AVB": ("first-degree AV block", "1st degree AV block", "first degree atrioventricular block",
             "first-degree atrioventricular block", "AV block I", "AV block first degree"),
    "2AVB": ("second-degree AV block", "2nd degree AV block", "second degree atrioventricular block",
             "second-degree atrioventricular block", "Mobitz", "Wenckebach"),
    "3AVB": ("third-degree AV block", "complete AV block", "complete heart block",
             "third-degree atrioventricular block", "third degree atrioventricular block"),
    "WPW": ("Wolff-Parkinson-White", "WPW", "preexcitation", "pre-excitation"),
    "IMI": ("inferior infarction", "inferior infarct", "inferior MI", "infarction of the inferior wall"),
    "ASMI": ("anteroseptal infarction", "anteroseptal infarct", "anteroseptal MI", "septal infarction",
             "septal infarct"),
    "AMI": ("anterior infarction", "anterior infarct", "anterior MI", "infarction of the anterior wall"),
    "ALMI": ("anterolateral infarction", "anterolateral infarct", "anterolateral MI"),
    "LMI": ("lateral infarction", "lateral infarct", "lateral MI"),
    "ILMI": ("inferolateral infarction", "inferolateral infarct", "inferolateral MI"),
    "PMI": ("posterior infarction", "posterior infarct", "posterior MI"),
    "IPMI": ("inferoposterior infarction", "inferoposterior infarct"),
    "IPLMI": ("inferoposterolateral infarction", "inferoposterolateral infarct"),
    "ISC_": ("non-specific ischemic ST changes", "ischemic ST-T changes", "ischemic changes", "myocardial ischemia",
             "ischemia", "ischaemia"),
    "LNGQT": ("prolonged QT", "QT prolongation", "long QT", "prolonged QTc", "QTc prolongation"),
    "DIG": ("digitalis-effect", "digoxin effect", "effect of digitalis"),
    "NDT": ("non-diagnostic T wave abnormalities",),
    "NST_": ("non-specific ST-T changes", "nonspecific ST changes", "nonspecific ST-T changes",
             "non-specific ST segment changes", "nonspecific ST segment changes"),
    "NT_": ("nonspecific T wave changes", "non-specific T wave changes", "nonspecific T-wave changes"),
    "TAB_": ("T wave abnormality", "abnormal T wave", "T-wave abnormalities", "T wave abnormalities"),
    "INVT": ("inverted T wave", "T wave inversion", "T-wave inversion", "negative T wave", "negative T-wave"),
    "LOWT": ("low amplitude T wave", "flat T wave", "flat T-wave", "T wave flattening", "low T wave"),
    "STD_": ("ST depression", "ST-segment depression", "ST segment depression"),
    "STE_": ("ST elevation", "ST-segment elevation", "ST segment elevation"),
    "PVC": ("premature ventricular complex", "premature ventricular complexes", "premature ventricular contraction",
            "ventricular premature complex", "ventricular extrasystole", "ventricular ectopic beat",
            "premature ventricular beat", "PVC", "VES"),
    "PAC": ("premature atrial complex", "premature atrial complexes", "premature atrial contraction",
            "atrial premature complex", "atrial extrasystole", "supraventricular extrasystole",
            "atrial premature beat", "PAC"),
    "PRC(S)": ("premature complex", "extrasystole", "premature beat"),
    "LPR": ("prolonged PR", "PR prolongation", "long PR interval"),
    "QWAVE": ("Q wave", "pathological Q wave", "pathologic Q wave"),
    "LVOLT": ("low voltage", "low QRS voltage", "low-voltage"),
    "HVOLT": ("high voltage",),
    "VCLVH": ("voltage criteria for LVH", "voltage criteria of left ventricular hypertrophy"),
    "SR": ("normal sinus rhythm", "regular sinus rhythm"),
    "AFIB": ("AFIB", "AF", "auricular fibrillation"),
    "AFLT": ("AFL", "flutter wave"),
    "PACE": ("pacemaker rhythm", "artificial pacemaker", "ventricular pacing", "atrial pacing", "pacing spike",
             "functioning pacemaker"),
    "SVTAC": ("SVT",),
    "BIGU": ("bigeminy",),
    "TRIGU": ("trigeminy",),
}  # fmt: skip
_CLASS_ALSO = {
    "MI": ("infarction", "infarct", "STEMI"),
    "STTC": ("ST-T change", "ST/T wave change"),
    "CD": ("conduction delay",),
}


@cache
def phrases(code: str) -> tuple[str, ...]:
    """What names an SCP statement in a text, our own words first. Raises KeyError for a code that is none."""
    own = statement_words(code)
    return tuple(dict.fromkeys([own, scp_statements()[code].description, *_ALSO.get(code, ())]))


@cache
def finding_words(label: str) -> tuple[str, ...]:
    """What names a finding of a bundle: a statement's phrases, or for a superclass its own and its statements'."""
    if label not in SUPERCLASS_NAMES:
        return phrases(label)
    within = [code for code, about in scp_statements().items() if about.diagnostic_class == label]
    own = (SUPERCLASS_NAMES[label], *_CLASS_ALSO.get(label, ()))
    return tuple(dict.fromkeys([*own, *(phrase for code in within for phrase in phrases(code))]))
