"""A pulse-serve process on loopback, and the requests that tests send it."""

from __future__ import annotations

import base64
import http.client
import io
import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

from PIL import Image

TOKEN = "not-so-secret"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def png(page):
    buffer = io.BytesIO()
    Image.fromarray(page).save(buffer, "PNG")
    return buffer.getvalue()


def data_url(picture):
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def message(picture, text=None):
    parts = [{"type": "image_url", "image_url": {"url": data_url(picture)}}]
    return {"role": "user", "content": parts + ([{"type": "text", "text": text}] if text else [])}


@dataclass(frozen=True)
class Server:
    port: int
    process: subprocess.Popen

    def client(self, token=TOKEN):
        import openai

        return openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=token, max_retries=0, timeout=60)

    def post(self, body, headers=None, path="/v1/chat/completions"):
        """(status, JSON) of a request in bytes or as an object."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, body, {"Authorization": f"Bearer {TOKEN}", **(headers or {})})
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def get(self, path, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()


def started(bundle, folder, *options):
    port, token = free_port(), folder / "token"
    token.write_text(TOKEN + "\n")
    argv = ["pulse-serve", str(bundle), "--port", str(port), "--token-file", str(token), "--threads", "1", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_runtime.commands", *argv], stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    server = Server(port, process)
    for _ in range(600):
        try:
            if server.get("/health")[0] == 200:
                return server
        except OSError:
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.1)
    raise AssertionError("the server did not begin")
