"""The page at /: its files, and headers that hold the browser to this server and let it keep nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_WEB = Path(__file__).parent / "web"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
}
NO_STORE = {"Cache-Control": "no-store"}
"""For whatever may tell of a patient: no browser and no proxy writes it down."""
# https://www.w3.org/TR/CSP3/: nothing is loaded but this server's own; pictures may also come from the page itself.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS = {
    **NO_STORE,
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page_routes(about: Mapping[str, Any]) -> list[Route]:
    """The routes of the page, open to all: it holds no secret. about: what it must know of this server, as JSON."""
    files = {path.relative_to(_WEB).as_posix(): path.read_bytes() for path in _WEB.rglob("*") if path.is_file()}
    files["about.json"] = json.dumps({**about, "languages": _languages(files)}).encode()

    async def send(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in files:
            raise HTTPException(404, "Not Found")
        return Response(files[name], headers=_HEADERS, media_type=_KINDS[Path(name).suffix])

    return [Route("/", send), Route("/page/{name:path}", send)]


def _languages(files: Mapping[str, bytes]) -> list[dict[str, str]]:
    """Code and name of each language, in the codes' order; a file in languages/ is one."""
    return [json.loads(files[name])["language"] for name in sorted(files) if name.startswith("languages/")]
