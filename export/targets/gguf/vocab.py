"""A checkpoint's SentencePiece vocabulary and way of asking, as the metadata that llama.cpp reads."""

from __future__ import annotations

from pathlib import Path

from gguf import GGUFWriter, TokenType
from tokenizers import AddedToken

from edge_runtime.errors import UserError
from edge_runtime.inference import IMAGE, QUESTION, PromptSpec
from pulse.checkpoint.tokenizer import added_tokens
from pulse.model.config import Config


def add_vocabulary(writer: GGUFWriter, config: Config, path: Path) -> None:
    """Add the tokens of the tokenizer.model at `path`, those added to it by the files beside it, and the chat template.
    Raises UserError when it is no SentencePiece model, its library is missing, or it has more tokens than the
    decoder."""
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError:
        raise UserError("reading tokenizer.model needs sentencepiece; pip install pulse-edge[export]") from None
    try:
        pieces = SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise UserError(f"{path}: not a SentencePiece model ({error}); download it again") from None
    count, size, inference = pieces.vocab_size(), config.text.vocab_size, config.inference
    if count > size:
        raise UserError(f"{path}: has {count} tokens but the decoder {size}; give the checkpoint's own tokenizer.model")
    more = range(count, size)  # rows of the table that no piece has
    added = added_tokens(path.parent, size)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(
        [pieces.id_to_piece(i) for i in range(count)]
        + [added[i].content if i in added else f"<unused {i - count}>" for i in more]
    )
    writer.add_token_scores([pieces.get_score(i) for i in range(count)] + [0.0] * len(more))
    writer.add_token_types([_type(pieces, i) for i in range(count)] + [_type_added(added.get(i)) for i in more])
    writer.add_unk_token_id(pieces.unk_id())
    end = inference.model.eos_token_ids[0]
    if inference.model.bos_token_id is not None:
        writer.add_bos_token_id(inference.model.bos_token_id)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(inference.prompt.add_bos)
    writer.add_add_space_prefix(True)
    writer.add_chat_template(chat_template(inference.prompt, pieces.id_to_piece(end)))


def chat_template(prompt: PromptSpec, end: str) -> str:
    """The prompt as a Jinja template. The picture's place is the user's to name: llama.cpp's marker comes in with the
    message, before the question."""
    before, after = prompt.first_turn.replace(IMAGE + "\n", "").split(QUESTION)
    return (
        f"{prompt.system}{{% for message in messages %}}"
        f"{{% if message['role'] == 'user' %}}{before}{{{{ message['content'] }}}}{after}"
        f"{{% elif message['role'] == 'assistant' %}}{{{{ message['content'] }}}}{end}{{% endif %}}{{% endfor %}}"
    )


def _type_added(token: AddedToken | None) -> TokenType:
    if token is None:
        return TokenType.UNUSED
    return TokenType.CONTROL if token.special else TokenType.USER_DEFINED


def _type(pieces: object, i: int) -> TokenType:
    for kind, asked in (
        (TokenType.UNKNOWN, "is_unknown"),
        (TokenType.CONTROL, "is_control"),
        (TokenType.UNUSED, "is_unused"),
        (TokenType.BYTE, "is_byte"),
    ):
        if getattr(pieces, asked)(i):
            return kind
    return TokenType.NORMAL
