"""A phone in Qualcomm's farm: aihub://DEVICE NAME, through qai-hub, which needs an account's token.

The farm runs one graph at a time and no program of ours, so no page is read and no answer comes back: the vision
tower's time is the farm's, and the decoder's for one token gives tokens a second. Figures that it does not give are
missing. Nothing of this was run by this project (not_run); what is called is held against qai-hub's own signatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from edge_runtime import image
from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from edge_runtime.preprocess import draft_size, pixels
