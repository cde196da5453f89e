"""Looking once and asking often: every path through the cache must equal reading the whole sequence anew."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from edge_runtime.errors import UserError
from edge_runtime.session import Session


def words(tiny, ids):
    return tiny.tokenizer.decode(ids, skip_special_tokens=True).strip().rstrip("\ufffd")


def test_greedy_answer_equals_the_twin(tiny, session, page):
    expected = tiny.twin.greedy(tiny.prompt(page, "rhythm?"), 8)
    assert 1 not in expected, "the twin must not meet the end token here"
    reply = session.look(page).ask("rhythm?")
    pieces = list(reply)
    answer = reply.finish()
    assert answer.token_ids == expected
    assert answer.finish_reason == "length"
    assert "".join(pieces) == answer.text
    assert answer.timing.tokens == 8


def test_default_question_is_the_manifests(tiny, session, page):
    expected = tiny.twin.greedy(tiny.prompt(page, "Describe this page."), 3)
    assert session.look(page).ask(max_new_tokens=3).finish().token_ids == expected


def test_stops_at_the_end_token(tiny, variant, page):
    # Make the third token that the twin chooses the end token.
    ids = tiny.twin.greedy(tiny.prompt(page, "rhythm?"), 8)
    end = next(i for i in range(2, 8) if ids[i] not in ids[:i])
    folder = variant(model={"eos_token_ids": [1, ids[end]]})
    answer = Session.open(folder, threads=1).look(page).ask("rhythm?").finish()
    assert answer.token_ids == ids[:end]
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize("stopped", [False, True])
def test_second_turn_follows_answer_and_end_token(tiny, variant, page, stopped):
    first = tiny.twin.greedy(tiny.prompt(page, "rhythm?"), 8)
    end = next(i for i in range(2, 8) if first[i] not in first[:i]) if stopped else 4
    eos = first[end] if stopped else 1
    folder = variant(model={"eos_token_ids": [eos]})
    turn = tiny.ids("USER: and now? ASSISTANT:")
    history = np.concatenate([tiny.prompt(page, "rhythm?"), tiny.twin.embed([*first[:end], eos, *turn])])
    expected = tiny.twin.greedy(history, 5)
    seen = Session.open(folder, threads=1).look(page)
    assert seen.ask("rhythm?", max_new_tokens=8 if stopped else end).finish().token_ids == first[:end]
    got = seen.ask("and now?", max_new_tokens=5).finish()
    stop = expected.index(eos) if eos in expected else 5
    assert got.token_ids == expected[:stop]
    assert got.timing.preprocess_ms == got.timing.vision_ms == 0


def test_third_turn_keeps_all_history(tiny, session, page):
    embeds, seen = tiny.prompt(page, "a"), session.look(page)
    for turn, question in enumerate(["a", "b", "c"]):
        expected = tiny.twin.greedy(embeds, 3)
        assert seen.ask(question, max_new_tokens=3).finish().token_ids == expected, f"turn {turn}"
        follow = tiny.ids(f"USER: {'bc-'[turn]} ASSISTANT:")
        embeds = np.concatenate([embeds, tiny.twin.embed([*expected, 1, *follow])])


def test_a_reply_cut_off_leaves_the_conversation_where_it_was(tiny, session, page):
    seen = session.look(page)
    cut = seen.ask("rhythm?")
    for _ in cut:
        break
    with pytest.raises(RuntimeError, match="cut off"):
        cut.finish()
    assert seen.ask("rhythm?").finish().token_ids == tiny.twin.greedy(tiny.prompt(page, "rhythm?"), 8)


def test_findings_do_not_disturb_the_conversation(session, page):
    with_findings, without = session.look(page), session.look(page)
    with_findings.ask("a").finish()
    assert without.ask("a", findings=False).finish().findings == []
    assert with_findings.ask("b").finish().token_ids == without.ask("b").finish().token_ids


def test_pages_are_seen(tiny, session, page):
    other = 255 - page
    expected = tiny.twin.greedy(tiny.prompt(other, "a"), 8)
    assert expected != tiny.twin.greedy(tiny.prompt(page, "a"), 8)
    assert session.look(other).ask("a").finish().token_ids == expected


def test_temperature_is_repeatable_with_a_seed(session, page):
    seen = [session.look(page).ask("a", temperature=2.0, seed=seed).finish().token_ids for seed in (1, 1, 2)]
    assert seen[0] == seen[1] != seen[2]


def test_prompt_that_does_not_fit_is_refused_before_it_starts(tiny, session, page):
    seen = session.look(page)
    with pytest.raises(UserError, match="the model has 96"):
        seen.ask("why? " * 96)
    room = 96 - len(tiny.prompt(page, ""))
    question = next(q for n in range(room + 1) if len(tiny.prompt(page, q := "?!" * n)) == 95)
    answer = seen.ask(question, max_new_tokens=50).finish()
    # One position is left, so one token is all that there is.
    assert len(answer.token_ids) == 1
    assert answer.finish_reason == "length"
    with pytest.raises(UserError, match="start again from the image"):
        seen.ask("more?")


def test_context_that_fills_up_ends_the_answer(tiny, variant, page):
    folder = variant(model={"context_length": 40}, generation={"max_new_tokens": 1000})
    answer = Session.open(folder, threads=1).look(page).ask("a").finish()
    assert len(tiny.prompt(page, "a")) + len(answer.token_ids) == 40
    assert answer.finish_reason == "length"


def test_image_that_does_not_fit_is_refused(variant, page):
    folder = variant(model={"context_length": 10})
    with pytest.raises(UserError, match="the model has 10"):
        Session.open(folder, threads=1).look(page)


def test_findings_that_do_not_fit_are_refused_before_the_answer(tiny, variant, page):
    findings = copy.deepcopy(tiny.manifest["findings"])
    findings[1]["question"] = "?" * 60
    seen = Session.open(variant(model={"context_length": 60}, findings=findings), threads=1).look(page)
    with pytest.raises(UserError, match="the model has 60"):
        seen.ask("a")
    assert seen.ask("a", findings=False).finish().text


def test_not_an_ecg_is_said_instead_of_answered(tiny, variant, page):
    folder = variant(is_ecg={"threshold": 1.0})
    seen = Session.open(folder, threads=1).look(page)
    assert not seen.looks_like_ecg
    answer = seen.ask("a").finish()
    refusal = f"This picture does not look like an ECG page (is_ecg probability {seen.is_ecg:.2f})."
    assert answer.text == f"{refusal} The picture is very small: go closer, or choose a larger one."
    assert (answer.token_ids, answer.findings, answer.finish_reason) == ([], [], "not_ecg")
    anyway = seen.ask("a", allow_non_ecg=True).finish()
    assert anyway.token_ids == tiny.twin.greedy(tiny.prompt(page, "a"), 8)
    assert len(anyway.findings) == 2


WAY_UP = {"question": "Is there?", "answers": ["Yes", "No", "normal ECG", "rhythm"]}


def test_choices_are_weighed_by_their_likelihood(tiny, session, page):
    asked = tiny.prompt(page, WAY_UP["question"])
    weights = np.exp([tiny.twin.log_probability(asked, tiny.ids(answer)) for answer in WAY_UP["answers"]])
    embeds = np.float32(tiny.prefix(page))
    _, prefix = session.engine.decode(embeds, session.engine.empty_cache())
    shares = session.scorer.choose(prefix, WAY_UP["question"], WAY_UP["answers"])
    np.testing.assert_allclose(shares, weights / weights.sum(), rtol=1e-3)


@pytest.mark.parametrize(("said", "turned"), [((2, 0), True), ((2, 2), False), ((0,), False)])
def test_a_page_is_turned_when_it_is_upright_then(tiny, variant, page, monkeypatch, said, turned):
    session, answers = Session.open(variant(way_up=WAY_UP), threads=1), list(said)
    monkeypatch.setattr(session.scorer, "choose", lambda *asked: np.eye(4)[answers.pop(0)].tolist())
    seen = session.look(page)
    assert answers == []
    assert seen.turns == (2 if turned else 0)
    read = np.ascontiguousarray(np.rot90(page, 2)) if turned else page
    assert seen.ask("a").finish().token_ids == tiny.twin.greedy(tiny.prompt(read, "a"), 8)


def test_quarter_turns_go_to_the_right(tiny, variant, page, monkeypatch):
    """A page that lies on its left side is read as the same page held upright."""
    session, answers = Session.open(variant(way_up=WAY_UP), threads=1), [1, 0, 0]
    monkeypatch.setattr(session.scorer, "choose", lambda *asked: np.eye(4)[answers.pop(0)].tolist())
    lying = np.ascontiguousarray(np.rot90(page, 1))
    seen, upright = session.look(lying), session.look(page)
    assert (seen.turns, upright.turns) == (1, 0)
    assert seen.findings() == upright.findings()


@pytest.mark.parametrize("swapped", [False, True])
def test_part_of_a_page_is_what_the_model_says(tiny, variant, page, swapped):
    yes, no = ("No", "Yes") if swapped else ("Yes", "No")
    asked = tiny.prompt(page, "Is there sinus?")
    shown_in_part = tiny.twin.log_probability(asked, tiny.ids(yes)) < tiny.twin.log_probability(asked, tiny.ids(no))
    folder = variant(whole={"question": "Is there sinus?", "yes": yes, "no": no})
    assert Session.open(folder, threads=1).look(page).is_part == shown_in_part


def test_model_that_cannot_tell_parts_takes_all_for_whole(session, page):
    assert not session.look(page).is_part


def test_model_that_cannot_tell_pages_from_cats_answers(variant, page):
    folder = variant(is_ecg=None)
    answer = Session.open(folder, threads=1).look(page).ask("a").finish()
    assert answer.is_ecg is None
    assert answer.token_ids


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_new_tokens": 0}, "max-new-tokens"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top-p"),
        ({"top_k": -1}, "top-k"),
        ({"seed": -1}, "seed"),
        ({"question": "  "}, "question is empty"),
        ({"question": "<image> what?"}, "<image>"),
    ],
)
def test_wrong_arguments_are_refused_at_once(session, page, wrong, message):
    with pytest.raises(UserError, match=message):
        session.look(page).ask(**wrong)


def test_timing_adds_up(session, page):
    timing = session.look(page).ask("a").finish().timing
    parts = timing.preprocess_ms + timing.vision_ms + timing.prefill_ms
    assert 0 < parts <= timing.first_token_ms < parts + 50
    assert timing.decode_tokens_per_s > 0
    assert timing.findings_ms > 0


def test_findings_are_scored_once_per_page(session, page):
    seen = session.look(page)
    first, second = seen.ask("a").finish().findings, seen.ask("b").finish().findings
    assert len(first) == 2
    assert all(one is other for one, other in zip(first, second, strict=True))


def test_findings_come_one_by_one_and_those_computed_are_kept(session, page):
    seen, other = session.look(page), session.look(page)
    first = next(seen.each_finding())  # the reader stops here
    assert seen.findings()[0] is first
    assert seen.findings() == other.findings()


def test_tokenizer_larger_than_the_model_is_refused(variant):
    folder = variant(model={"vocab_size": 100})
    with pytest.raises(UserError, match="but the model 100"):
        Session.open(folder, threads=1)


def test_pil_image_path_and_array_are_the_same_page(session, page, page_file):
    from PIL import Image

    answers = [session.look(p).ask("a").finish() for p in (page, page_file, Image.fromarray(page))]
    answers.append(session.look(page_file.read_bytes()).ask("a").finish())
    assert len({tuple(a.token_ids) for a in answers}) == 1
    assert len({a.is_ecg for a in answers}) == 1


def test_a_conversation_that_was_held_elsewhere_goes_on_the_same(page):
    session = Session.open("pulse-nano", threads=1)
    picture = np.repeat(np.repeat(page, 20, 0), 20, 1)
    held, told = session.look(picture), session.look(picture)
    first = held.ask("Is this a normal ECG?", allow_non_ecg=True).finish().text
    told.remember("Is this a normal ECG?", first)
    asked = {"question": "What is the rhythm?", "allow_non_ecg": True}
    assert told.ask(**asked).finish().text == held.ask(**asked).finish().text
    with pytest.raises(UserError, match="the question is empty"):
        told.remember(" ", "Yes.")
