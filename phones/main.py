"""Where python-for-android and kivy-ios start: the app with the bundle that it carries."""

from __future__ import annotations

import sys

from demo_app.cli import main

if __name__ == "__main__":
    sys.exit(main([]))
