"""What was asked and answered on this device, in one SQLite file, and nowhere else.

An entry is written when its first answer is whole and again after each follow-up, in one transaction each: a phone that
dies in the middle of an answer keeps every entry before it. Deleted text is overwritten in the file (secure_delete).
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from demo_app.encryption import Encryption
from edge_runtime.errors import UserError
from edge_runtime.findings import Finding
from edge_runtime.similar import Case

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (id TEXT PRIMARY KEY, created REAL NOT NULL, text BLOB NOT NULL, page BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS entries_created ON entries (created);
CREATE TABLE IF NOT EXISTS seal (header TEXT NOT NULL);
"""
_VERSION = 1


@dataclass(frozen=True)
class Turn:
    """A question as it was asked and its whole answer; left_out: what the model wrote besides (edge_runtime.guard)."""

    question: str
    answer: str
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One page and the conversation about it. created: seconds since 1970. findings: in the
    bundle's order.

    model, target, digest: which bundle answered. finish_reason, timing: of the first answer (edge_runtime.answer).
    measured: evidence.Measured as JSON, None for entries of before there was such. similar: the most similar first.
    """

    turns: tuple[Turn, ...]
    findings: tuple[Finding, ...]
    model: str
    target: str
    digest: str
    finish_reason: str
    timing: dict[str, float]
    title: str
    created: float = field(default_factory=time.time)
    measured: dict[str, Any] | None = None
    similar: tuple[Case, ...] = ()
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def matches(self, words: str) -> bool:
        """Whether every word occurs in the title, a question, an answer, or the name of a likely finding."""
        likely = [finding.name for finding in self.findings if finding.likely]
        text = " ".join([self.title, *likely, *(f"{t.question} {t.answer}" for t in self.turns)]).casefold()
        return all(word in text for word in words.casefold().split())


class Locked(UserError):
    """The history is encrypted and its passphrase has not been given yet."""

    def __init__(self) -> None:
        super().__init__("the history is encrypted; enter its passphrase")


class History:
    """The file at `path`. Any thread may call; one at a time gets through."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._encryption: Encryption | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            # Whole pages of the file are private: no other user of the machine may read them.
            path.chmod(0o600)
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.execute("PRAGMA synchronous = FULL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise UserError(f"{path}: was written by a newer pulse-demo; upgrade pulse-edge")
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version = {_VERSION}")
            self._encrypted = self._header() is not None
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                f"{path}: the history cannot be opened ({error}); move the file away and start again"
            ) from None

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @property
    def encrypted(self) -> bool:
        """Known without the file: the window asks, and must not wait for a thread that is writing."""
        return self._encrypted

    @property
    def locked(self) -> bool:
        """Encrypted, and unlock() was not called yet."""
        return self.encrypted and self._encryption is None

    def unlock(self, passphrase: str) -> None:
        """Raises UserError when the passphrase is wrong."""
        header = self._header()
        if header is not None:
            self._encryption = Encryption.known(passphrase, header)

    def encrypt(self, passphrase: str) -> None:
        """Encrypt every entry, and all that come. Raises UserError for a short passphrase; then nothing has changed."""
        self._rewrite(Encryption.new(passphrase))

    def decrypt(self) -> None:
        """Store every entry in the clear again. Raises Locked."""
        self._rewrite(None)

    def save(self, entry: Entry, page: bytes) -> None:
        """Write or replace an entry; page: its picture as JPEG. Raises Locked."""
        with self._lock, self._transaction():
            self._put(entry.id, entry.created, _dump(entry), page)

    def entries(self, words: str = "") -> list[Entry]:
        """Those that match all words (all of them for ""), newest first. Raises Locked."""
        with self._lock:
            rows = self._db.execute("SELECT id, text FROM entries ORDER BY created DESC, id").fetchall()
            found = [_load(self._plain(text, f"{id}/text")) for id, text in rows]
        return [entry for entry in found if entry.matches(words)]

    def page(self, id: str) -> bytes:
        """The entry's picture as JPEG. Raises UserError when it is gone, or Locked."""
        with self._lock:
            row = self._db.execute("SELECT page FROM entries WHERE id = ?", (id,)).fetchone()
            if row is None:
                raise UserError("this entry of the history was deleted")
            return self._plain(row[0], f"{id}/page")

    def delete(self, id: str | None) -> None:
        """Delete one entry, or all for None (even when locked), and overwrite what they held."""
        with self._lock:
            with self._transaction():
                if id is None:
                    self._db.execute("DELETE FROM entries")
                    self._db.execute("DELETE FROM seal")
                else:
                    self._db.execute("DELETE FROM entries WHERE id = ?", (id,))
            if id is None:
                self._encryption, self._encrypted = None, False
                self._db.execute("VACUUM")

    def _header(self) -> str | None:
        with self._lock:
            row = self._db.execute("SELECT header FROM seal").fetchone()
        return None if row is None else str(row[0])

    def _rewrite(self, encryption: Encryption | None) -> None:
        """All rows from the present encryption to another, in one transaction; VACUUM then drops the old pages."""
        with self._lock:
            rows = self._db.execute("SELECT id, created, text, page FROM entries").fetchall()
            plain = [(i, c, self._plain(t, f"{i}/text"), self._plain(p, f"{i}/page")) for i, c, t, p in rows]
            before = self._encryption, self._encrypted
            try:
                with self._transaction():
                    self._encryption, self._encrypted = encryption, encryption is not None
                    self._db.execute("DELETE FROM seal")
                    if encryption is not None:
                        self._db.execute("INSERT INTO seal VALUES (?)", (encryption.header(),))
                    for row in plain:
                        self._put(*row)
            except BaseException:
                self._encryption, self._encrypted = before
                raise
            self._db.execute("VACUUM")

    def _put(self, id: str, created: float, text: bytes, page: bytes) -> None:
        if self.locked:
            raise Locked
        if self._encryption is not None:
            text, page = self._encryption.encrypt(text, f"{id}/text"), self._encryption.encrypt(page, f"{id}/page")
        self._db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", (id, created, text, page))

    def _plain(self, blob: bytes, place: str) -> bytes:
        if self.locked:
            raise Locked
        return self._encryption.decrypt(blob, place) if self._encryption is not None else blob

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise UserError(f"the history could not be written ({error}); is the storage full?") from None
        except BaseException:
            self._db.execute("ROLLBACK")
            raise


def _dump(entry: Entry) -> bytes:
    return json.dumps(asdict(entry), ensure_ascii=False).encode()


def _load(text: bytes) -> Entry:
    fields = json.loads(text)
    fields["turns"] = tuple(
        Turn(turn["question"], turn["answer"], tuple(turn.get("left_out", ()))) for turn in fields["turns"]
    )
    # Entries of before there were operating points hold label, name and probability as a list.
    fields["findings"] = tuple(Finding(**one) if isinstance(one, dict) else Finding(*one) for one in fields["findings"])
    cases = fields.get("similar", ())
    fields["similar"] = tuple(Case(**{**one, "statements": tuple(one["statements"])}) for one in cases)
    return Entry(**fields)
