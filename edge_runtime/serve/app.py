"""The server's routes: who may ask, how much at once, and what is said when something is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from edge_runtime.bundle import Provenance
from edge_runtime.errors import UserError
from edge_runtime.image import MAX_PIXELS
from edge_runtime.serve import protocol
from edge_runtime.serve.site import NO_STORE, page_routes
from edge_runtime.serve.worker import Busy, Cancelled, Job, Worker

_RETRY_AFTER_S = 2
_HEARD_OUT = 4  # times the limit
_LOOK_S = 0.25  # between two looks at whether the client is still there


@dataclass(frozen=True)
class Limits:
    """bytes: of a request's body. receive_s: for sending it. answer_s: for waiting and the answer together."""

    bytes: int = 32 << 20
    receive_s: float = 30.0
    answer_s: float = 120.0


class Metrics:
    """Counted for Prometheus; nothing here tells who asked or what."""

    def __init__(self, worker: Worker) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("pulse_requests", "Requests by status", ["status"], registry=self.registry)
        self.seconds = Histogram("pulse_answer_seconds", "From a request to its last word", registry=self.registry)
        waiting = Gauge("pulse_waiting", "Requests that have not begun", registry=self.registry)
        waiting.set_function(lambda: worker.waiting)


def create_app(
    worker: Worker, served: Provenance, token: str | None = None, limits: Limits | None = None, cases: bool = False
) -> Starlette:
    """The ASGI application. token: what every request for an answer must bear, None for nothing. cases: whether the
    bundle has similar cases, which the page then asks for."""
    limits = limits or Limits()
    server = _Server(worker, served, token, limits)
    about = {"token": token is not None, "max_bytes": limits.bytes, "max_pixels": MAX_PIXELS, "cases": cases}

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(worker.stop)

    routes = [
        Route("/v1/chat/completions", server.chat, methods=["POST"]),
        Route("/v1/models", server.models),
        Route("/health", server.health),
        Route("/metrics", server.metrics),
        *page_routes(about),
    ]
    handlers: dict[Any, Any] = {HTTPException: server.refuse}
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)


class _Server:
    def __init__(self, worker: Worker, served: Provenance, token: str | None, limits: Limits) -> None:
        self._worker, self._served, self._limits = worker, served, limits
        self._token = token
        self._metrics = Metrics(worker)
        self._started = int(time.time())

    async def health(self, request: Request) -> Response:
        """Whether the server answers, for a supervisor; open to all."""
        return JSONResponse({"status": "ok", "waiting": self._worker.waiting})

    async def models(self, request: Request) -> Response:
        """The one model."""
        self._check_token(request)
        model = {"id": self._served.name, "object": "model", "created": self._started, "owned_by": "pulse-edge"}
        return JSONResponse({"object": "list", "data": [model]})

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text format."""
        self._check_token(request)
        return PlainTextResponse(generate_latest(self._metrics.registry), media_type="text/plain; version=0.0.4")

    async def chat(self, request: Request) -> Response:
        """One answer, whole or in pieces."""
        self._check_token(request)
        started = time.perf_counter()
        try:
            question = protocol.parse(_json(await self._body(request)))
        except UserError as error:
            raise HTTPException(400, str(error)) from None
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[Any]()

        def tell(what: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the server has stopped
                loop.call_soon_threadsafe(pieces.put_nowait, what)

        # Whole answers need no pieces: each would wake this thread in the middle of the model's work.
        job = Job(question, tell if question.stream else _unheard, tell)
        try:
            self._worker.submit(job)
        except Busy:
            raise HTTPException(
                429, "all places are taken; ask again later", {"Retry-After": str(_RETRY_AFTER_S)}
            ) from None
        identity, created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        ends = started + self._limits.answer_s
        try:
            first = await self._next(request, job, pieces, ends)
            if question.stream:
                stream = self._stream(request, job, pieces, ends, first, (identity, created, self._served))
                return StreamingResponse(self._timed(stream, started), headers=NO_STORE, media_type="text/event-stream")
        except BaseException:
            job.cancel()
            raise
        whole = await asyncio.to_thread(protocol.completion, identity, created, self._served, question, first)
        self._count(200, started)
        return JSONResponse(whole, headers=NO_STORE)

    async def _stream(
        self,
        request: Request,
        job: Job,
        pieces: asyncio.Queue[Any],
        ends: float,
        first: Any,
        head: tuple[str, int, Provenance],
    ) -> AsyncIterator[str]:
        try:
            assert job.page is not None  # there is a piece, or the end
            yield _event(await asyncio.to_thread(protocol.first_chunk, *head, job.question, job.page, job.pages))
            while isinstance(first, str):
                yield _event(protocol.chunk(*head, {"content": first}))
                first = await self._next(request, job, pieces, ends)
            yield _event(protocol.last_chunk(*head, job.question, first))
            yield "data: [DONE]\n\n"
        except HTTPException as error:
            # The status is sent already: a stream that ends without [DONE] and with this is no whole answer.
            yield _event(protocol.error(error.detail, "server_error"))
        finally:
            job.cancel()

    async def _timed(self, stream: AsyncIterator[str], started: float) -> AsyncIterator[str]:
        async for piece in stream:
            yield piece
        self._count(200, started)

    async def _next(self, request: Request, job: Job, pieces: asyncio.Queue[Any], ends: float) -> Any:
        """The next piece (text), or the end (protocol.Result). Raises HTTPException for everything else."""
        while True:
            try:
                what = await asyncio.wait_for(pieces.get(), _LOOK_S)
                break
            except TimeoutError:
                if await request.is_disconnected():
                    job.cancel()
                    raise HTTPException(499, "the client went away") from None
                if time.perf_counter() > ends:
                    job.cancel()
                    raise HTTPException(504, f"no answer within {self._limits.answer_s:g} s; ask again later") from None
        if isinstance(what, UserError):
            raise HTTPException(400, str(what))
        if isinstance(what, Cancelled):
            raise HTTPException(503, "the answer was broken off; ask again")
        if isinstance(what, Exception):
            raise HTTPException(500, f"the model failed on this request ({type(what).__name__})")
        return what

    async def _body(self, request: Request) -> bytes:
        """Of a request. One that is too large is heard out, within bounds: who is cut off meanwhile hears nothing."""
        most = self._limits.bytes
        too_large = HTTPException(413, f"the request is larger than {most >> 20} MB; send a smaller picture")
        declared = request.headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > _HEARD_OUT * most:
            raise too_large
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.receive_s):
                async for part in request.stream():
                    size += len(part)
                    if size > _HEARD_OUT * most:
                        raise too_large
                    if size <= most:
                        parts.append(part)
                    else:
                        parts.clear()
        except TimeoutError:
            raise HTTPException(408, f"the request did not arrive within {self._limits.receive_s:g} s") from None
        except ClientDisconnect:
            raise HTTPException(499, "the client went away") from None
        if size > most:
            raise too_large
        return b"".join(parts)

    def _check_token(self, request: Request) -> None:
        if self._token is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        known = hmac.compare_digest(given.strip().encode(), self._token.encode())
        if scheme.lower() != "bearer" or not known:  # RFC 9110 11.1: the scheme in letters of either case
            raise HTTPException(401, "give the server's token as a bearer token", {"WWW-Authenticate": "Bearer"})

    async def refuse(self, request: Request, error: HTTPException) -> Response:
        """A refusal in OpenAI's form."""
        self._count(error.status_code)
        kinds = {401: "authentication_error", 429: "rate_limit_error"}
        kind = kinds.get(error.status_code, "invalid_request_error" if error.status_code < 500 else "server_error")
        headers = {**(error.headers or {}), "Connection": "close"} if error.status_code in (408, 413) else error.headers
        return JSONResponse(protocol.error(error.detail, kind), error.status_code, headers)

    def _count(self, status: int, started: float | None = None) -> None:
        self._metrics.requests.labels(str(status)).inc()
        if started is not None:
            self._metrics.seconds.observe(time.perf_counter() - started)


def _unheard(piece: str) -> None:
    """Where nobody waits for pieces."""


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UserError("the request is no JSON; see OpenAI's chat completions") from None


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
