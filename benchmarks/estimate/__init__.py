"""What a device that is not here would take: device files, work counted in graphs, and a fit to this machine."""

from __future__ import annotations
