"""An answer as sheets of paper, to keep or hand on: a PDF, a picture, or the PDF inside a DICOM file."""

from __future__ import annotations
