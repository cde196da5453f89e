"""coremltools without its chatter: each import reports what Linux lacks, and its progress bars have no switch."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from typing import Any

from edge_runtime.errors import UserError

_LOGGERS = ("coremltools", "torch.utils._pytree")


@contextlib.contextmanager
def quiet_coremltools() -> Iterator[Any]:
    """The module, silent while the context lasts. Raises UserError when it is not installed."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        # Progress bars go to stderr whatever the log level; errors come as exceptions.
        with contextlib.redirect_stderr(io.StringIO()):
            try:
                import coremltools
            except ImportError:
                raise UserError("Core ML packages need coremltools; pip install pulse-edge[targets]") from None
            yield coremltools
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
