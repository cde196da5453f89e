"""`python -m demo_app` is `pulse-demo`."""

from __future__ import annotations

import sys

from demo_app.cli import main

sys.exit(main())
