"""The certificate: does a bundle answer like the model that it came from?"""

from __future__ import annotations
