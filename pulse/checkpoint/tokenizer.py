"""A checkpoint's tokenizer as the device reads it: tokenizer.json, if need be made from SentencePiece's model.

The original LLaVA code uses the slow LlamaTokenizer; its `legacy` flag (tokenizer_config.json) decides whether text
after a special token is opened with a space mark, which later turns of a conversation show.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tokenizers import Regex
from tokenizers.normalizers import Replace

from edge_runtime.errors import UserError
from pulse.files.side_file import check_not_lfs, read_json

TOKENIZER, SENTENCEPIECE = "tokenizer.json", "tokenizer.model"


def check_tokenizer(source: Path) -> None:
    """Raises UserError when the checkpoint folder holds no tokenizer."""
    if not (source / TOKENIZER).is_file() and not (source / SENTENCEPIECE).is_file():
        raise UserError(f"{source}: no {TOKENIZER} and no {SENTENCEPIECE}; give a whole checkpoint folder")


def write_tokenizer(source: Path, out: Path) -> None:
    """Copy the folder's tokenizer.json to `out`, or convert its SentencePiece model. Raises UserError when there is
    neither, or the model is damaged or its library missing."""
    check_tokenizer(source)
    for name in (TOKENIZER, SENTENCEPIECE):
        check_not_lfs(source / name)
    if (source / TOKENIZER).is_file():
        shutil.copyfile(source / TOKENIZER, out)
        return
    try:
        from google.protobuf.message import DecodeError
        from transformers.convert_slow_tokenizer import convert_slow_tokenizer
        from transformers.models.llama import LlamaTokenizer
    except ImportError:
        raise UserError("converting tokenizer.model needs transformers; pip install pulse-edge[export]") from None
    path, settings = source / "tokenizer_config.json", {}
    if path.is_file():
        settings = read_json(path)
    try:
        slow = LlamaTokenizer(str(source / SENTENCEPIECE), legacy=settings.get("legacy", True))
    except ImportError:
        raise UserError("converting tokenizer.model needs sentencepiece; pip install pulse-edge[export]") from None
    except (RuntimeError, OSError, TypeError, ValueError, DecodeError) as error:
        raise UserError(f"{source / SENTENCEPIECE}: not a SentencePiece model ({error}); download it again") from None
    fast = convert_slow_tokenizer(slow)
    if not slow.legacy:
        # SentencePiece opens every text with a space mark; the converted one leaves it out before a space.
        fast.normalizer = Replace(Regex(r"\A(?=[ \u2581])"), " ")
    fast.save(str(out))
