"""Pages as a camera or scanner sees them."""

from __future__ import annotations
