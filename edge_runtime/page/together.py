"""Parts of one picture at once: Pillow and numpy let another thread run while they work on pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Found = TypeVar("Found")
_THREADS = 2  # phones have more cores, but the page is not all they have to do


def together(work: Callable[[Part], Found], parts: Iterable[Part]) -> list[Found]:
    """work(part) of each, in their order. Raises what work raises."""
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(work, parts))


def halves(count: int) -> list[range]:
    """The numbers below count in two parts, in one where there is only one."""
    return [range(count // 2), range(count // 2, count)] if count > 1 else [range(count)]
