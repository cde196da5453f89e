"""A pool whose processes are those of a Ray cluster: machines that share nothing but what the items name.

https://docs.ray.io/en/latest/ray-core/tasks.html. Each machine has this package and the same bundle; Ray brings the
items to them and what is made of them back.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TypeVar

import ray

from edge_runtime.errors import UserError
from pulse.runner import Begin, Pool, worked

T = TypeVar("T")
R = TypeVar("R")
_AHEAD = 2  # batches a core: one that is worked on, one that waits
_ANSWERS_S = 5.0
_LOOK_S = 2.0  # between two looks at how many cores the cluster has


class Cluster(Pool[T, R]):
    """address: of the head node ("HOST:6379"), or "auto" on one of its machines.

    Nodes may come and go. Raises UserError when there is no such cluster.
    """

    lost = (
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.NodeDiedError,
        ray.exceptions.LocalRayletDiedError,
        ray.exceptions.OutOfMemoryError,
        ray.exceptions.ObjectLostError,
    )

    def __init__(self, begin: Begin[T, R], address: str, batch: int) -> None:
        self.batch = batch
        _check(address)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _no_cluster(address, error) from None
        # Ray would try again what was lost, however often; the runner counts.
        self._unit = ray.remote(num_cpus=1, max_retries=0)(worked)  # Ray gives a process to one run alone
        self._begin = ray.put(begin)
        self._cores, self._looked = 0, 0.0

    def places(self) -> int:
        if time.monotonic() - self._looked > _LOOK_S:
            # None for a moment when the last node is gone; whatever waits then waits in Ray.
            self._cores = int(ray.cluster_resources().get("CPU", 0)) or 1
            self._looked = time.monotonic()
        return _AHEAD * self._cores

    def submit(self, items: Sequence[T]) -> Future[list[R]]:
        future: Future[list[R]] = self._unit.remote(self._begin, items).future()
        return future

    def close(self) -> None:
        ray.shutdown()


def _check(address: str) -> None:
    """Ray itself waits for minutes where nobody listens."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(
            f"{address}: is no address of a Ray cluster; give HOST:PORT of its head, or auto on a node of it"
        )
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWERS_S).close()
    except OSError as error:
        raise _no_cluster(address, error) from None


def _no_cluster(address: str, error: Exception) -> UserError:
    reason = str(error).splitlines()[0]
    return UserError(f"{address}: no Ray cluster answers ({reason}); start one: ray start --head")
