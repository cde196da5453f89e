"""Words to token ids and back, and a decoder for answers that arrive one token at a time."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Sequence

from tokenizers import Tokenizer as _Tokenizer

from edge_runtime.errors import UserError, shorten

_BROKEN = "\N{REPLACEMENT CHARACTER}"
# A character is at most 4 bytes, so a real one is whole after at most 4 tokens; twice that is never worth the wait.
_MOST_PENDING = 8
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
_BYTE = re.compile("<0x([0-9A-F]{2})>")


def _each_byte(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _BROKEN, error.start + 1


codecs.register_error("each_byte", _each_byte)


class Tokenizer:
    """A tokenizer.json. Special tokens are never added here: the prompt says where they go."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self._tokenizer = _Tokenizer.from_file(os.fspath(path))
        # The library raises bare Exception for every kind of bad file.
        except Exception as error:
            raise UserError(f"{path}: is no tokenizer.json ({shorten(str(error))}); export the bundle again") from None
        # A converted SentencePiece model: its bytes are pieces of their own.
        self._of_pieces = self._tokenizer.token_to_id("<0x00>") is not None
        added = self._tokenizer.get_added_tokens_decoder()
        self._special = {i for i, token in added.items() if token.special}

    @property
    def vocab_size(self) -> int:
        """One more than the highest id that encode can return."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    def encode(self, text: str) -> list[int]:
        """Token ids of the text, nothing added. Raises UserError for text that has no UTF-8 form."""
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UserError(f"{shorten(text)}: is not valid Unicode text; type it in UTF-8") from None
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_after(self, special: int, text: str) -> list[int]:
        """Token ids of text that follows a special token: some tokenizers open a text differently from what follows."""
        before = self._tokenizer.id_to_token(special)
        ids = self.encode(before + text) if before else []
        return ids[1:] if ids[:1] == [special] else self.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids, special tokens and ids past the vocabulary left out. A byte of no character is U+FFFD."""
        if not self._of_pieces:
            return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))
        # As SentencePiece does it; `tokenizers` gives up a whole run of bytes where one of them is wrong.
        found = (self._tokenizer.id_to_token(i) for i in ids if i not in self._special)
        pieces = [piece for piece in found if piece is not None]  # rows past the vocabulary have none
        joined = b""
        for piece in pieces:
            byte = _BYTE.fullmatch(piece)
            joined += bytes([int(byte[1], 16)]) if byte else piece.replace(_SPACE, " ").encode()
        text = joined.decode(errors="each_byte")
        return text[1:] if pieces and pieces[0].startswith(_SPACE) else text


class StreamDecoder:
    """Turns ids into text as they come, whole characters only, without white space at either end of the answer.

    The pieces put together are the answer's text. A character that the answer's end cuts in two is left out.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        # Decoding needs the piece before, since some tokenizers drop the space of the first word they are given.
        self._before: list[int] = []
        self._pending: list[int] = []
        self._space = ""
        self._started = False

    def push(self, token_id: int) -> str:
        """The text that this id completes; often "" ."""
        self._pending.append(token_id)
        before = self._tokenizer.decode(self._before)
        text = self._tokenizer.decode(self._before + self._pending)[len(before) :]
        if not text or (text.endswith(_BROKEN) and len(self._pending) < _MOST_PENDING):
            return ""
        self._before, self._pending = self._pending, []
        return self._without_ends(text)

    def _without_ends(self, text: str) -> str:
        if not self._started:
            text = text.lstrip()
        # White space waits until a word follows it.
        text = self._space + text
        piece = text.rstrip()
        self._space = text[len(piece) :]
        self._started = self._started or bool(piece)
        return piece
