"""A small server that speaks the chat completions protocol of OpenAI-compatible endpoints, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = Callable[[list[dict[str, str]]], str | int]


@contextmanager
def serving(reply: Reply) -> Iterator[tuple[str, list[dict]]]:
    """The URL, and the requests as they come in. reply: from messages to the answer's text or an HTTP error code."""
    seen: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(request)
            said = reply(request["messages"]) if self.path == "/v1/chat/completions" else 404
            if isinstance(said, int):
                code, body = said, {"error": {"message": f"made to fail with {said}", "type": "server_error"}}
            else:
                choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
                code, body = 200, {"id": "1", "object": "chat.completion", "created": 0, "model": request["model"]}
                body["choices"] = [choice]
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
