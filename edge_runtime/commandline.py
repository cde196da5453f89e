"""What every command does with wrong use: one line that says what is wrong and where help is."""

from __future__ import annotations

import argparse
from typing import NoReturn

from edge_runtime.errors import UserError


class Parser(argparse.ArgumentParser):
    """argparse's, but wrong use raises UserError instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError."""
        raise UserError(f"{message}; see {self.prog} --help")
