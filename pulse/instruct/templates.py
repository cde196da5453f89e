"""The sentences that conversations are made of. Many for each purpose: from one sentence a student learns a sentence.

{subject}, {value}, {other}: of an item, the other being wrong; {kind}: what a set's statements are called; {options}:
lettered lines. The forms are ECGInstruct's (arXiv 2410.19008): close-ended, open-ended, fill-in, multiple choice.
"""

from __future__ import annotations

OPEN_VALUE = (
    "What is the {subject}?",
    "State the {subject} of this ECG.",
    "Read the {subject} off this page.",
    "Can you tell the {subject} from this ECG?",
    "How would you give the {subject} here?",
    "Please report the {subject}.",
)
SAY_VALUE = (
    "The {subject} is {value}.",
    "It is {value}.",
    "I read a {subject} of {value}.",
    "The ECG shows a {subject} of {value}.",
    "{value}.",
)
COMMENT = (" That is {comment}.", " This counts as {comment}.", " Assessment: {comment}.")
CLOSE_VALUE = (
    "Is the {subject} {value}?",
    "Would you give the {subject} as {value}?",
    "Somebody read a {subject} of {value} here. Is that right?",
    "Does this ECG have a {subject} of {value}?",
)
YES_VALUE = ("Yes, the {subject} is {value}.", "Yes. The {subject} is {value}.", "Yes, {value}.")
NO_VALUE = ("No, the {subject} is {value}.", "No. The {subject} is {value}.", "No, it is {value}.")
FILL_VALUE = (
    "Fill in the blank: The {subject} of this ECG is ____.",
    "Complete the sentence: On this page the {subject} is ____.",
    "What belongs in the gap? {subject}: ____",
)
CHOICE_VALUE = (
    "Which of these is the {subject} of this ECG?\n{options}",
    "Choose the right {subject}.\n{options}",
    "The {subject} is one of the following. Which one?\n{options}",
)
OPEN_SET = {
    "rhythm": (
        "What is the rhythm?",
        "Which rhythm does this ECG show?",
        "Describe the rhythm.",
        "How does this heart beat?",
        "Name the rhythm on this page.",
    ),
    "finding": (
        "Which findings does this ECG show?",
        "What is remarkable about this ECG's waves?",
        "List the morphological findings.",
        "Which diagnostic statements fit this ECG?",
        "What do the complexes and segments show?",
    ),
    "statement of the analysis program": (
        "What would a cardiograph's analysis program print on this page?",
        "Which statements would an automatic reading make?",
        "Give the automatic interpretation of this ECG.",
    ),
}
SAY_SET = ("{value}.", "The ECG shows {value}.", "This is {value}.", "I see {value}.", "On this page: {value}.")
CLOSE_SET = (
    "Does this ECG show {value}?",
    "Is {value} part of what this ECG shows?",
    "Do you see {value} here?",
    "Would you report {value}?",
)
YES_SET = ("Yes, I see {value}.", "Yes, this ECG shows {value}.", "Yes: {value}.")
NO_SET = ("No, this ECG does not show {value}.", "No, I do not see {value}.", "No: no {value}.")
FILL_SET = (
    "Fill in the blank: One {kind} of this ECG is ____.",
    "Complete the sentence: A cardiologist would write ____ as the {kind}.",
    "____ is a {kind} of this ECG. What belongs in the gap?",
)
CHOICE_SET = (
    "Which of these does this ECG show?\n{options}",
    "Choose the {kind} that fits this ECG.\n{options}",
    "One of these holds. Which?\n{options}",
)
REPORT = (
    "Write a diagnostic report for this ECG image.",
    "Please write a clinical report based on this ECG image.",
    "What does this ECG show? Answer as a report.",
    "Interpret this ECG in full.",
    "Give a complete reading of this page.",
    "Report on this ECG: rhythm, measurements, axis, findings, conclusion.",
)
# How a report is laid out: between a section's heading and its text, and between the sections.
REPORT_FORMS = (("", " "), ("{name}: ", "\n"), ("**{name}**: ", "\n"), ("- {name}: ", "\n"))
