"""Text that arrives token by token must come out whole, and the same as text decoded at once."""

from __future__ import annotations

import pytest
import tokenizers

from edge_runtime.errors import UserError
from edge_runtime.inference import PromptSpec
from edge_runtime.prompt import IMAGE_TOKEN, Prompt
from edge_runtime.tokenizer import StreamDecoder, Tokenizer

TEXT = "Rhythm é ✓ 😀 心電図: 60 bpm"


@pytest.fixture(scope="module")
def byte_level(tiny):
    return Tokenizer(tiny.folder / "tokenizer.json")


@pytest.fixture(scope="module")
def llama_like(tmp_path_factory):
    """SentencePiece's habits: "▁" for spaces, bytes for what is not in the vocabulary, first space dropped."""
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for piece in [*(f"<0x{b:02X}>" for b in range(256)), "▁", *"Rhytm60bp:"]:
        vocab[piece] = len(vocab)
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    n, d = tokenizers.normalizers, tokenizers.decoders
    tokenizer.normalizer = n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")])
    tokenizer.decoder = d.Sequence([d.Replace("▁", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(["<s>", "</s>"])
    path = tmp_path_factory.mktemp("llama") / "tokenizer.json"
    tokenizer.save(str(path))
    return Tokenizer(path)


def stream(tokenizer, ids):
    decoder = StreamDecoder(tokenizer)
    return [decoder.push(i) for i in ids]


@pytest.mark.parametrize("kind", ["byte_level", "llama_like"])
def test_streamed_text_is_whole_characters_and_the_same_text(kind, request):
    tokenizer = request.getfixturevalue(kind)
    ids = tokenizer.encode(TEXT)
    assert len(ids) > len(TEXT), "some characters are to span several tokens"
    pieces = stream(tokenizer, ids)
    assert "".join(pieces) == TEXT
    assert not any("\ufffd" in piece for piece in pieces)
    assert max(len(piece) for piece in pieces) <= 8, "text must come as it is made, not at the end"


@pytest.mark.parametrize("kind", ["byte_level", "llama_like"])
def test_white_space_at_the_ends_is_left_out_but_kept_between(kind, request):
    tokenizer = request.getfixturevalue(kind)
    assert "".join(stream(tokenizer, tokenizer.encode("  \n a \n\n b  \n "))) == "a \n\n b"


def test_character_cut_in_two_by_the_end_is_left_out(byte_level):
    assert "".join(stream(byte_level, byte_level.encode("ok 😀")[:-1])) == "ok"


def test_bytes_that_never_become_a_character_do_not_stop_the_text(byte_level):
    broken = byte_level.encode("😀")[:1]
    text = "".join(stream(byte_level, broken * 9 + byte_level.encode(" and on")))
    assert text.endswith("and on")
    assert "\ufffd" in text


def test_special_tokens_are_not_text(byte_level):
    a, b = byte_level.encode("a"), byte_level.encode("b")
    assert "".join(stream(byte_level, [*a, 1, *b])) == "ab"


def test_encode_adds_nothing(byte_level, tiny):
    assert byte_level.encode("Yes") == tiny.ids("Yes")
    assert byte_level.encode("") == []
    assert byte_level.decode([0, *byte_level.encode("Yes No"), 1]) == "Yes No"
    assert byte_level.vocab_size == tiny.tokenizer.get_vocab_size()


def test_text_without_utf8_form_is_refused(byte_level):
    with pytest.raises(UserError, match="is not valid Unicode"):
        byte_level.encode("\udcff")


def test_bad_tokenizer_file_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer\.json: is no tokenizer\.json"):
        Tokenizer(tmp_path / "tokenizer.json")


SPEC = PromptSpec("Sys. ", "USER: <image>\n{question} ASSISTANT:", "USER: {question} ASSISTANT:", True)


def test_prompt_pieces_are_tokenized_one_by_one(byte_level):
    prompt = Prompt(SPEC, byte_level, 0)
    assert prompt.before_image() == [0, *byte_level.encode("Sys. USER: ")]
    assert prompt.after_image("Why?") == byte_level.encode("\nWhy? ASSISTANT:")
    assert prompt.first_turn("Why?") == [*prompt.before_image(), IMAGE_TOKEN, *prompt.after_image("Why?")]
    assert prompt.next_turn("Why?") == byte_level.encode("USER: Why? ASSISTANT:")


def test_prompt_without_bos(byte_level):
    spec = PromptSpec("", "<image>{question}", "{question}", False)
    assert Prompt(spec, byte_level, 0).before_image() == []


def test_question_is_text_not_template(byte_level):
    assert Prompt(SPEC, byte_level, 0).next_turn("{question}") == byte_level.encode("USER: {question} ASSISTANT:")


@pytest.mark.parametrize(("question", "match"), [("", "empty"), (" \n", "empty"), ("see <image>", "take it out")])
def test_questions_that_are_none(byte_level, question, match):
    for turn in (Prompt(SPEC, byte_level, 0).after_image, Prompt(SPEC, byte_level, 0).next_turn):
        with pytest.raises(UserError, match=match):
            turn(question)
