"""A checkpoint's tokenizer as the device reads it: tokenizer.json, if need be made from SentencePiece's model.

The original LLaVA code uses the slow LlamaTokenizer; its `legacy` flag (tokenizer_config.json) decides whether text
after a special token is opened with a space mark, which later turns of a conversation show.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.normalizers import Replace
from tokenizers.pre_tokenizers import Metaspace, Sequence

from edge_runtime.errors import UserError, shorten
from pulse.files.side_file import check_not_lfs, read_json

TOKENIZER, SENTENCEPIECE = "tokenizer.json", "tokenizer.model"
SETTINGS, ADDED, SPECIAL = "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"


def check_tokenizer(source: Path) -> None:
    """Raises UserError when the checkpoint folder holds no tokenizer."""
    if not (source / TOKENIZER).is_file() and not (source / SENTENCEPIECE).is_file():
        raise UserError(f"{source}: no {TOKENIZER} and no {SENTENCEPIECE}; give a whole checkpoint folder")


def write_tokenizer(source: Path, out: Path, size: int | None = None) -> None:
    """Copy the folder's tokenizer.json to `out`, or convert its SentencePiece model with the tokens that were added to
    it. size: rows of the model's token table, None where nobody knows.

    Raises UserError when there is neither, the model is damaged or its library missing, or it has more tokens than
    `size`.
    """
    check_tokenizer(source)
    for name in (TOKENIZER, SENTENCEPIECE):
        check_not_lfs(source / name)
    if (source / TOKENIZER).is_file():
        shutil.copyfile(source / TOKENIZER, out)
        _check_size(source, source / TOKENIZER, size)
        return
    try:
        from google.protobuf.message import DecodeError
        from transformers.convert_slow_tokenizer import convert_slow_tokenizer
        from transformers.models.llama import LlamaTokenizer
    except ImportError:
        raise UserError("converting tokenizer.model needs transformers; pip install pulse-edge[export]") from None
    settings = _side_file(source, SETTINGS)
    try:
        slow = LlamaTokenizer(str(source / SENTENCEPIECE), legacy=settings.get("legacy", True))
    except ImportError:
        raise UserError("converting tokenizer.model needs sentencepiece; pip install pulse-edge[export]") from None
    except (RuntimeError, OSError, TypeError, ValueError, DecodeError) as error:
        raise UserError(f"{source / SENTENCEPIECE}: not a SentencePiece model ({error}); download it again") from None
    fast = convert_slow_tokenizer(slow)
    if not slow.legacy:
        # SentencePiece opens a text, but not what follows a special token in it, with a space mark. Metaspace alone
        # knows which part is the first, and leaves the mark out before a space: where there are none, it never does.
        fast.normalizer = Replace(" ", _SPACE)
        fast.pre_tokenizer = Sequence([Metaspace(" ", "first", split=False), Metaspace(_SPACE, "never", split=False)])
    _add(fast, source, size)
    fast.save(str(out))
    _check_size(source, out, size)


def added_tokens(source: Path, size: int | None = None) -> dict[int, AddedToken]:
    """The tokens that were added to a SentencePiece vocabulary, by id in ascending order, as transformers writes them:
    in tokenizer_config.json, in older versions in added_tokens.json. Those past a token table of `size` rows, which
    nobody can have meant to be read, are left out. Raises UserError for a damaged file."""
    settings, named = _side_file(source, SETTINGS), _side_file(source, SPECIAL)
    special = {_content(token) for value in named.values() for token in (value if isinstance(value, list) else [value])}
    found: dict[int, AddedToken] = {}
    try:
        for content, i in _side_file(source, ADDED).items():
            found[int(i)] = AddedToken(content, normalized=False, special=content in special)
        for i, token in (settings.get("added_tokens_decoder") or {}).items():
            sides = {side: bool(token.get(side)) for side in ("lstrip", "rstrip", "single_word", "special")}
            # Not normalized whatever they say: the slow tokenizer looks for them in the text as it was typed.
            found[int(i)] = AddedToken(token["content"], normalized=False, **sides)
        if not all(i >= 0 and token.content for i, token in found.items()):
            raise ValueError("an id below 0, or a token without text")
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise UserError(f"{source}: its added tokens cannot be read ({error!r}); copy the checkpoint again") from None
    return {i: found[i] for i in sorted(found) if size is None or i < size}


def _add(fast: Tokenizer, source: Path, size: int | None) -> None:
    for i, token in added_tokens(source, size).items():
        if fast.id_to_token(i) == token.content:
            continue  # one of the model's own, as <s> is
        fast.add_tokens([token])
        if fast.token_to_id(token.content) != i:
            raise UserError(
                f"{source}: adds {token.content!r} as token {i}, but its vocabulary has {fast.get_vocab_size()} tokens "
                "with it; copy tokenizer.model, tokenizer_config.json and added_tokens.json again"
            )


def _check_size(source: Path, written: Path, size: int | None) -> None:
    try:
        count = max(Tokenizer.from_file(str(written)).get_vocab().values(), default=-1) + 1
    except Exception as error:  # the library raises bare Exception for every kind of bad file
        reason = shorten(str(error))
        raise UserError(f"{written}: is no tokenizer.json ({reason}); copy the checkpoint again") from None
    if size is not None and count > size:
        raise UserError(
            f"{source}: its tokenizer has {count} tokens, but vocab_size in its config.json is {size}; copy the "
            "tokenizer that belongs to it"
        )


def _side_file(source: Path, name: str) -> dict[str, Any]:
    return read_json(source / name) if (source / name).is_file() else {}


def _content(token: Any) -> str:
    return str(token.get("content")) if isinstance(token, dict) else str(token)
