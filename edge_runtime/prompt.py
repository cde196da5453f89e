"""A turn of the conversation to token ids. Training and the device share it, so both see the same tokens."""

from __future__ import annotations

from edge_runtime.errors import UserError
from edge_runtime.inference import IMAGE, QUESTION, Inference, PromptSpec
from edge_runtime.tokenizer import Tokenizer

# Stands for all of the image's features among token ids; LLaVA's own value.
IMAGE_TOKEN = -200


class Prompt:
    """Encodes turns as PULSE does: text is split at the image and each piece is tokenized on its own.

    bos_token_id opens the first turn if the spec says add_bos; end_token_id ends the answers.
    """

    def __init__(
        self,
        spec: PromptSpec,
        tokenizer: Tokenizer,
        bos_token_id: int | None = None,
        end_token_id: int | None = None,
    ) -> None:
        self._spec = spec
        self._tokenizer = tokenizer
        self._bos = [bos_token_id] if spec.add_bos and bos_token_id is not None else []
        self._end = end_token_id
        self._before, self._after = (spec.system + spec.first_turn).split(IMAGE)

    @classmethod
    def of(cls, inference: Inference, tokenizer: Tokenizer) -> Prompt:
        """The prompt of a model that is used so."""
        model = inference.model
        return cls(inference.prompt, tokenizer, model.bos_token_id, model.eos_token_ids[0])

    def before_image(self) -> list[int]:
        """Ids of all that comes before the image: the same for every question."""
        return self._bos + self._tokenizer.encode(self._before)

    def after_image(self, question: str) -> list[int]:
        """Ids of all that comes after the image in the first turn, up to where the answer starts."""
        return self._tokenizer.encode(self._after.replace(QUESTION, check_question(question)))

    def first_turn(self, question: str) -> list[int]:
        """The whole first turn, the image as one IMAGE_TOKEN."""
        return [*self.before_image(), IMAGE_TOKEN, *self.after_image(question)]

    def next_turn(self, question: str) -> list[int]:
        """Ids of a later turn; they come straight after the end-of-answer token."""
        text = self._spec.next_turn.replace(QUESTION, check_question(question))
        return self._tokenizer.encode(text) if self._end is None else self._tokenizer.encode_after(self._end, text)


def check_question(question: str) -> str:
    """The question itself. Raises UserError when it is blank or holds the image's placeholder."""
    if not question.strip():
        raise UserError("the question is empty; leave it out to ask the model's usual one")
    if IMAGE in question:
        raise UserError(f"the question holds {IMAGE}, which is put in by itself; take it out")
    return question
