"""The history: kept, found, deleted, encrypted."""

from __future__ import annotations

import json
import sqlite3
import stat
import threading

import pytest

from demo_app.history import Entry, History, Locked, Turn, _dump, _load
from edge_runtime.errors import UserError
from edge_runtime.findings import Finding
from edge_runtime.similar import Case

PAGE = b"\xff\xd8 a page's bytes"


def entry(answer="Sinus rhythm. Anterior infarction.", **changed):
    fields = {
        "turns": (Turn("Report?", answer),),
        "findings": (
            Finding("MI", "myocardial infarction", 0.4, 0.3),
            Finding("PVC", "ventricular premature complexes", 0.6, 0.7),
        ),
        "model": "nano", "target": "onnx", "digest": "ab" * 32, "finish_reason": "stop", "timing": {"tokens": 4.0},
        "title": "Bed 7",
    }  # fmt: skip
    return Entry(**{**fields, **changed})


@pytest.fixture
def history(tmp_path):
    history = History(tmp_path / "data" / "history.sqlite")
    yield history
    history.close()


def test_entry_comes_back_as_it_was(history):
    case = Case(7, 0.75, ("NORM", "SR"), "größe", 90, None)
    saved = entry(turns=(Turn("a?", "b", ("left", "out")), Turn("c?", "ü – d")), similar=(case,))
    history.save(saved, PAGE)
    assert history.entries() == [saved]
    assert history.page(saved.id) == PAGE


def test_an_entry_of_before_there_were_operating_points_comes_back():
    fields = json.loads(_dump(entry()))
    fields["findings"] = [["MI", "myocardial infarction", 0.9], ["PVC", "ventricular premature complexes", 0.4]]
    found = _load(json.dumps(fields).encode()).findings
    assert [(finding.label, finding.probability, finding.likely) for finding in found] == [
        ("MI", 0.9, True),
        ("PVC", 0.4, False),
    ]


def test_newest_first_and_saved_again_is_replaced(history):
    old, new = entry(created=1.0), entry(created=2.0)
    history.save(old, PAGE)
    history.save(new, PAGE)
    longer = Entry(**{**vars(old), "turns": (*old.turns, Turn("more?", "more"))})
    history.save(longer, PAGE)
    assert history.entries() == [new, longer]


@pytest.mark.parametrize(
    ("words", "found"),
    [("", 1), ("INFARCTION sinus", 1), ("bed", 1), ("report", 1), ("myocardial", 1), ("zebra", 0), ("premature", 0)],
)
def test_search_wants_every_word_and_only_likely_findings(history, words, found):
    history.save(entry(), PAGE)
    assert len(history.entries(words)) == found


def test_deleted_text_is_gone_from_the_file(history, tmp_path):
    saved = entry("a very particular answer")
    history.save(saved, PAGE)
    file = tmp_path / "data" / "history.sqlite"
    assert b"very particular" in file.read_bytes()
    history.delete(saved.id)
    assert b"very particular" not in file.read_bytes()
    with pytest.raises(UserError, match="deleted"):
        history.page(saved.id)
    history.save(entry(), PAGE)
    history.delete(None)
    assert history.entries() == []


def test_file_is_its_owners_alone(history, tmp_path):
    assert stat.S_IMODE((tmp_path / "data" / "history.sqlite").stat().st_mode) == 0o600


def test_encrypted_history_hides_everything_and_needs_its_passphrase(history, tmp_path):
    saved = entry("a very particular answer")
    history.save(saved, PAGE)
    history.encrypt("correct horse")
    later = entry("another particular answer", created=9e9)
    history.save(later, PAGE)
    raw = (tmp_path / "data" / "history.sqlite").read_bytes()
    assert b"particular" not in raw
    assert PAGE not in raw
    again = History(tmp_path / "data" / "history.sqlite")
    assert again.locked
    with pytest.raises(Locked):
        again.entries()
    with pytest.raises(Locked):
        again.save(entry(), PAGE)
    with pytest.raises(UserError, match="not the passphrase"):
        again.unlock("wrong horse")
    again.unlock("correct horse")
    assert again.entries("particular") == [later, saved]
    again.decrypt()
    assert not again.encrypted
    assert again.entries() == [later, saved]
    again.close()


def test_short_passphrase_is_refused_and_nothing_changes(history):
    history.save(entry(), PAGE)
    with pytest.raises(UserError, match="at least 8"):
        history.encrypt("short")
    assert not history.encrypted
    assert len(history.entries()) == 1


def test_exchanged_rows_are_noticed(history, tmp_path):
    one, two = entry("one"), entry("two")
    history.save(one, PAGE)
    history.save(two, PAGE)
    history.encrypt("correct horse")
    with sqlite3.connect(tmp_path / "data" / "history.sqlite") as raw:
        (text,) = raw.execute("SELECT text FROM entries WHERE id = ?", (one.id,)).fetchone()
        raw.execute("UPDATE entries SET text = ? WHERE id = ?", (text, two.id))
    with pytest.raises(UserError, match="altered"):
        history.entries()


def test_lost_passphrase_still_lets_everything_be_deleted(history, tmp_path):
    history.save(entry(), PAGE)
    history.encrypt("correct horse")
    again = History(tmp_path / "data" / "history.sqlite")
    again.delete(None)
    assert not again.encrypted
    again.save(entry(), PAGE)
    assert len(again.entries()) == 1
    again.close()


def test_threads_take_turns(history):
    def write(n):
        for i in range(10):
            history.save(entry(f"{n} {i}"), PAGE)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(history.entries()) == 40


def test_file_that_is_no_database_is_one_line(tmp_path):
    (tmp_path / "history.sqlite").write_bytes(b"this is no database, by far" * 100)
    with pytest.raises(UserError, match="cannot be opened"):
        History(tmp_path / "history.sqlite")


def test_file_of_a_newer_version_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "history.sqlite") as raw:
        raw.execute("PRAGMA user_version = 99")
    with pytest.raises(UserError, match="newer"):
        History(tmp_path / "history.sqlite")


def test_entry_of_an_earlier_version_is_read(history):
    """Turns had no left_out then."""
    old = entry()
    fields = json.loads(_dump(old))
    for turn in fields["turns"]:
        del turn["left_out"]
    assert _load(json.dumps(fields).encode()) == old
