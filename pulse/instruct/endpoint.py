"""A language model behind an OpenAI-compatible endpoint: rewrites conversations, and judges reports."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

import openai

from edge_runtime.errors import UserError, shorten

KEY = "OPENAI_API_KEY"


@dataclass(frozen=True)
class Endpoint:
    """url: up to and without "/chat/completions", such as http://localhost:8000/v1. The key is read from the
    environment (OPENAI_API_KEY) where the server wants one. Overload, lost connections and the server's own errors are
    tried again `retries` times, ever later."""

    url: str
    model: str
    retries: int = 3
    timeout_s: float = 120.0

    @cached_property
    def _client(self) -> openai.OpenAI:
        key = os.environ.get(KEY) or "none"
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=self.retries, timeout=self.timeout_s)

    def complete(self, system: str, user: str, *, temperature: float = 0.0, as_json: bool = False) -> str:
        """The model's answer. as_json: ask the server for a JSON object. Raises UserError when there is none."""
        try:
            made = self._client.chat.completions.create(
                model=self.model,
                messages=[{"role": "system", "content": system}, {"role": "user", "content": user}],
                temperature=temperature,
                response_format={"type": "json_object"} if as_json else {"type": "text"},
            )
        except openai.OpenAIError as error:
            why = shorten(str(error), 200)
            raise UserError(
                f"{self.url}: model {self.model} gave no answer ({why}); check URL, model and {KEY}"
            ) from None
        return (made.choices[0].message.content or "") if made.choices else ""
