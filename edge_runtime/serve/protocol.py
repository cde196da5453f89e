"""OpenAI's chat completions, as far as one page and a conversation about it need them: requests in, responses out.

https://platform.openai.com/docs/api-reference/chat: pictures come as base64 data URLs; the server fetches nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge_runtime.answer import Answer
from edge_runtime.errors import UserError, shorten
from edge_runtime.fields import Fields
from edge_runtime.session import Observation

_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,", re.ASCII)
_FIX = "see OpenAI's chat completions"


@dataclass(frozen=True)
class Question:
    """picture: a file's bytes. turns: questions asked and answers given before, oldest first. question: None for the
    bundle's own. The rest: as Observation.ask takes them."""

    picture: bytes
    turns: tuple[tuple[str, str], ...]
    question: str | None
    stream: bool
    max_new_tokens: int | None
    temperature: float | None
    top_p: float | None
    seed: int | None


def parse(data: object) -> Question:
    """The question in a request's JSON. Raises UserError naming the first thing wrong with it."""
    fields = Fields(data, "the request", _FIX)
    if not fields.is_null("n") and fields.integer("n", 1) > 1:
        raise UserError("the request: n must be 1; ask again for another answer")
    pictures: list[bytes] = []
    said: list[tuple[str, str]] = []
    for message in fields.children("messages"):
        role = message.text("role", ("system", "developer", "user", "assistant"))
        if role in ("system", "developer"):
            raise UserError("the request: a system message is the model's own; leave it out")
        said.append((role, _text(message, pictures if role == "user" else None)))
    if len(pictures) != 1:
        raise UserError(f"the request holds {len(pictures)} pictures; give one, as an image_url with a data URL")
    if [role for role, _ in said] != ["user", "assistant"] * (len(said) // 2) + ["user"]:
        raise UserError("the request: messages must be user and assistant in turn, a user's first and last")
    texts = [text for _, text in said]
    earlier = tuple(zip(texts[:-1:2], texts[1:-1:2], strict=True))
    if any(not text for turn in earlier for text in turn) or (earlier and not texts[-1]):
        raise UserError("the request: an earlier message, or the one that follows it, has no text")
    limit = "max_completion_tokens" if not fields.is_null("max_completion_tokens") else "max_tokens"
    return Question(
        picture=pictures[0],
        turns=earlier,
        question=texts[-1] or None,
        stream=not fields.is_null("stream") and fields.flag("stream"),
        max_new_tokens=None if fields.is_null(limit) else fields.integer(limit, 1),
        temperature=None if fields.is_null("temperature") else fields.number("temperature", 0, 2),
        top_p=None if fields.is_null("top_p") else fields.number("top_p", 0, 1),
        seed=None if fields.is_null("seed") else fields.integer("seed", 0),
    )


def _text(message: Fields, pictures: list[bytes] | None) -> str:
    """A message's words; its pictures are added to the list, where it may hold any."""
    content = message.data.get("content")
    if isinstance(content, str):
        return content.strip()
    words = []
    for part in message.children("content"):
        kind = part.text("type", ("text", "image_url"))
        if kind == "text":
            words.append(part.text("text", empty=True))
        elif pictures is None:
            raise UserError("the request: an assistant's message holds a picture; leave it out")
        else:
            pictures.append(_picture(part.child("image_url").text("url")))
    return "\n".join(words).strip()


def _picture(url: str) -> bytes:
    head = _DATA_URL.match(url)
    if head is None:
        raise UserError(
            f"the request: the picture is {shorten(url[:60])}, not a data URL; send data:image/jpeg;base64,... (this "
            "server fetches nothing)"
        )
    try:
        return base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise UserError("the request: the picture's data URL is no base64; encode the file's bytes again") from None


@dataclass(frozen=True)
class Served:
    """What every response says of the model; certificate: the SHA-256 of the bundle's, if it has one."""

    name: str
    target: str
    notice: str
    certificate: str | None


def completion(identity: str, created: int, served: Served, page: Observation, answer: Answer) -> dict[str, Any]:
    """The response of a request that does not stream."""
    message = {"role": "assistant", "content": answer.text}
    choice = {"index": 0, "message": message, "finish_reason": _reason(answer), "logprobs": None}
    return {
        **_head(identity, created, served, "chat.completion"),
        "choices": [choice],
        "usage": _usage(page, answer),
        "pulse": extension(served, page, answer),
    }


def chunk(identity: str, created: int, served: Served, delta: Mapping[str, str]) -> dict[str, Any]:
    """One piece of a streamed response."""
    choice = {"index": 0, "delta": dict(delta), "finish_reason": None, "logprobs": None}
    return {**_head(identity, created, served, "chat.completion.chunk"), "choices": [choice]}


def last_chunk(identity: str, created: int, served: Served, page: Observation, answer: Answer) -> dict[str, Any]:
    """The piece that ends a streamed response."""
    choice = {"index": 0, "delta": {}, "finish_reason": _reason(answer), "logprobs": None}
    return {
        **_head(identity, created, served, "chat.completion.chunk"),
        "choices": [choice],
        "usage": _usage(page, answer),
        "pulse": extension(served, page, answer),
    }


def extension(served: Served, page: Observation, answer: Answer) -> dict[str, Any]:
    """The field "pulse": what OpenAI's protocol has no place for. refused: the picture does not look like an ECG."""
    return {
        "findings": [{**asdict(found), "likely": found.likely} for found in answer.findings],
        "is_ecg": answer.is_ecg,
        "refused": answer.finish_reason == "not_ecg",
        "turns": page.turns,
        "left_out": list(answer.left_out),
        "timing": {key: round(value, 3) for key, value in asdict(answer.timing).items()},
        "target": served.target,
        "certificate": served.certificate,
        "notice": served.notice,
    }


def error(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """The body of a response that is none."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _head(identity: str, created: int, served: Served, kind: str) -> dict[str, Any]:
    return {"id": identity, "object": kind, "created": created, "model": served.name}


def _reason(answer: Answer) -> str:
    return "length" if answer.finish_reason == "length" else "stop"


def _usage(page: Observation, answer: Answer) -> dict[str, int]:
    written = len(answer.token_ids)
    return {
        "prompt_tokens": page.positions,
        "completion_tokens": written,
        "total_tokens": page.positions + written,
    }
