"""What every command does with wrong use, with Ctrl-C, and with a reader that goes away."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from edge_runtime.errors import UserError
from edge_runtime.extras import missing_package


class Parser(argparse.ArgumentParser):
    """argparse's, but wrong use raises UserError instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError."""
        raise UserError(f"{message}; see {self.prog} --help")


def run(name: str, body: Callable[[], int]) -> int:
    """The exit status of body(): its own; 2 after wrong use or when a package is not installed, with one line; 130
    interrupted; 141 when whoever read stdout went away."""
    _stand_in_for_closed_streams()
    # A terminal that cannot show a character gets an escape, not a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = body()
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        missing = missing_package(error, name)
        if missing is None:
            raise
        print(f"{name}: {missing}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        _drop_stdout()
        return 141
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(f"{name}: no space is left where it writes; free some, or write elsewhere", file=sys.stderr)
        _drop_stdout()
        return 2
    except KeyboardInterrupt:
        return 130


def _drop_stdout() -> None:
    """Python flushes stdout on exit; give it somewhere to flush to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stand_in_for_closed_streams() -> None:
    """Give stdin, stdout and stderr something to be, where a caller closed them: else the next file that is opened
    takes their number, and what a library prints is written into it."""
    while (free := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(free, True)
    os.close(free)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))
