"""OpenAI's chat completions, as far as one page and a conversation about it need them: requests in, responses out.

https://platform.openai.com/docs/api-reference/chat: pictures come as base64 data URLs; the server fetches nothing.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from edge_runtime.answer import Answer, evidence_json
from edge_runtime.bundle import Provenance
from edge_runtime.errors import UserError, shorten
from edge_runtime.fhir import transaction
from edge_runtime.fields import Fields
from edge_runtime.observation import Observation
from edge_runtime.similar import Case
from edge_runtime.waves.normal import judged

_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,", re.ASCII)
_FIX = "see OpenAI's chat completions"
_MOST_CASES = 100
# Of OpenAI's requests, what would change the answer and is not here: whoever asks for it is not answered without.
_NOT_HERE = ("stop", "tools", "functions", "logprobs", "logit_bias")
_SHOWN = 1600  # pixels: a page's finest line is then still wider than one


@dataclass(frozen=True)
class Question:
    """picture: a file's bytes, page_number: which of its pages, from 1. turns: questions asked and answers given
    before, oldest first. question, and that of the first turn: None for the bundle's own. page, fhir, measure, signals:
    whether the picture that the model saw, FHIR, what is measured on the page, and its samples as well are asked for.
    similar: how many similar cases are, None for none. The rest: as Observation.ask takes them."""

    picture: bytes
    turns: tuple[tuple[str | None, str], ...]
    question: str | None
    stream: bool
    max_new_tokens: int | None
    temperature: float | None
    top_p: float | None
    seed: int | None
    page_number: int = 1
    page: bool = False
    fhir: bool = False
    measure: bool = False
    signals: bool = False
    similar: int | None = None
    allow_non_ecg: bool = False


class Result(NamedTuple):
    """What the model made of a question. whole: Observation.whole, None also for what does not look like an ECG. pages:
    how many the picture's file has. similar: Observation.similar, none for what does not look like an ECG; None where
    nobody asked."""

    page: Observation
    answer: Answer
    whole: float | None
    pages: int
    similar: list[Case] | None = None


def parse(data: object) -> Question:
    """The question in a request's JSON. Raises UserError naming the first thing wrong with it."""
    fields = Fields(data, "the request", _FIX)
    if not fields.is_null("n") and fields.integer("n", 1) > 1:
        raise UserError("the request: n must be 1; ask again for another answer")
    for name in _NOT_HERE:
        if fields.data.get(name):
            raise UserError(f"the request: {name} is nothing that this server can do; leave it out")
    if not fields.is_null("response_format"):
        fields.child("response_format").text("type", ("text",))
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
    first, *later = [text for _, text in said]
    if not all(later):
        raise UserError("the request: an earlier message, or the one that follows it, has no text")
    texts: list[str | None] = [first or None, *later]
    own = Fields({}, "pulse", _FIX) if fields.is_null("pulse") else fields.child("pulse")
    limit = "max_completion_tokens" if not fields.is_null("max_completion_tokens") else "max_tokens"
    return Question(
        picture=pictures[0],
        turns=tuple(zip(texts[:-1:2], later[::2], strict=True)),
        question=texts[-1],
        stream=not fields.is_null("stream") and fields.flag("stream"),
        max_new_tokens=None if fields.is_null(limit) else fields.integer(limit, 1),
        temperature=None if fields.is_null("temperature") else fields.number("temperature", 0, 2),
        top_p=None if fields.is_null("top_p") else fields.number("top_p", 0, 1),
        seed=None if fields.is_null("seed") else fields.integer("seed", 0),
        page_number=1 if own.is_null("page_number") else own.integer("page_number", 1),
        page=_wants(own, "page"),
        fhir=_wants(own, "fhir"),
        measure=_wants(own, "measure") or _wants(own, "signals"),
        signals=_wants(own, "signals"),
        similar=None if own.is_null("similar") else own.integer("similar", 1, _MOST_CASES),
        allow_non_ecg=_wants(own, "allow_non_ecg"),
    )


def _wants(own: Fields, what: str) -> bool:
    """Whether the request's field "pulse" asks for something that OpenAI's protocol has no place for."""
    return not own.is_null(what) and own.flag(what)


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


def completion(identity: str, created: int, served: Provenance, question: Question, result: Result) -> dict[str, Any]:
    """The response of a request that does not stream."""
    message = {"role": "assistant", "content": result.answer.text}
    choice = {"index": 0, "message": message, "finish_reason": _reason(result.answer), "logprobs": None}
    own = extension(created, served, question, result)
    if question.page:
        own["page"] = page_url(result.page)
    return {
        **_head(identity, created, served, "chat.completion"),
        "choices": [choice],
        "usage": _usage(result),
        "pulse": own,
    }


def first_chunk(
    identity: str, created: int, served: Provenance, question: Question, page: Observation, pages: int
) -> dict[str, Any]:
    """The piece that begins a streamed response: which page of how many was looked at, and it where it is asked for."""
    own: dict[str, Any] = {"pages": pages, "page_number": question.page_number}
    if question.page:
        own["page"] = page_url(page)
    return {**chunk(identity, created, served, {"role": "assistant", "content": ""}), "pulse": own}


def chunk(identity: str, created: int, served: Provenance, delta: Mapping[str, str]) -> dict[str, Any]:
    """One piece of a streamed response."""
    choice = {"index": 0, "delta": dict(delta), "finish_reason": None, "logprobs": None}
    return {**_head(identity, created, served, "chat.completion.chunk"), "choices": [choice]}


def last_chunk(identity: str, created: int, served: Provenance, question: Question, result: Result) -> dict[str, Any]:
    """The piece that ends a streamed response."""
    choice = {"index": 0, "delta": {}, "finish_reason": _reason(result.answer), "logprobs": None}
    return {
        **_head(identity, created, served, "chat.completion.chunk"),
        "choices": [choice],
        "usage": _usage(result),
        "pulse": extension(created, served, question, result),
    }


def extension(created: int, served: Provenance, question: Question, result: Result) -> dict[str, Any]:
    """The field "pulse": what OpenAI's protocol has no place for. refused: the picture does not look like an ECG.
    problem: what may be wrong with it then, a key of page.quality.HINTS."""
    page, answer = result.page, result.answer
    own = {
        "pages": result.pages,
        "page_number": question.page_number,
        "findings": [{**asdict(found), "likely": found.likely} for found in answer.findings],
        "is_ecg": answer.is_ecg,
        "refused": answer.finish_reason == "not_ecg",
        "problem": page.problem,
        "whole": result.whole,
        "turns": page.turns,
        "redrawn": page.redrawn,
        "left_out": list(answer.left_out),
        "because": [asdict(each) for each in answer.because],
        "timing": {key: round(value, 3) for key, value in asdict(answer.timing).items()},
        "target": served.target,
        "certificate": served.certificate,
        "notice": served.notice,
    }
    own |= evidence_json(answer, question.signals)
    if answer.evidence is not None:
        own["normal"] = judged(answer.evidence.values)
    if result.similar is not None:
        own["similar"] = [asdict(case) for case in result.similar]
    if question.fhir:
        own["fhir"] = transaction(answer, served, datetime.fromtimestamp(created, UTC))
    return own


def page_url(page: Observation) -> str:
    """The page as the model saw it, as a data URL: a JPEG of at most 1,600 pixels a side."""
    picture, file = page.seen.copy(), io.BytesIO()
    picture.thumbnail((_SHOWN, _SHOWN))
    picture.save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def error(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """The body of a response that is none."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _head(identity: str, created: int, served: Provenance, kind: str) -> dict[str, Any]:
    return {"id": identity, "object": kind, "created": created, "model": served.name}


def _reason(answer: Answer) -> str:
    return "length" if answer.finish_reason == "length" else "stop"


def _usage(result: Result) -> dict[str, int]:
    before, written = result.page.positions, len(result.answer.token_ids)
    return {"prompt_tokens": before, "completion_tokens": written, "total_tokens": before + written}
