"""Encryption of the history: AES-256-GCM under a key that scrypt (RFC 7914) derives from the user's passphrase.

The key is never stored; an encrypted known text tells a right passphrase from a wrong one. Whoever forgets the
passphrase has lost the history, and the app says so before it encrypts.
"""

from __future__ import annotations

import base64
import json
import os

from edge_runtime.errors import UserError

_NONCE, _SALT = 12, 16
# RFC 7914's N, r, p: 64 MiB and about a fifth of a second, which a phone bears once a start.
_N, _R, _P = 1 << 16, 8, 1
_KNOWN = b"pulse-demo history"
LEAST_PASSPHRASE = 8


class Encryption:
    """Seals and opens bytes with one key."""

    def __init__(self, passphrase: str, salt: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
        except ImportError:
            raise UserError(
                "encrypting the history needs cryptography, which is not installed; pip install pulse-edge[demo]"
            ) from None
        self._salt = salt
        key = Scrypt(salt=salt, length=32, n=_N, r=_R, p=_P).derive(passphrase.encode())
        self._cipher = AESGCM(key)

    @classmethod
    def new(cls, passphrase: str) -> Encryption:
        """An encryption with a fresh salt. Raises UserError for a passphrase shorter than 8 characters."""
        if len(passphrase) < LEAST_PASSPHRASE:
            raise UserError(f"the passphrase is too short; use at least {LEAST_PASSPHRASE} characters")
        return cls(passphrase, os.urandom(_SALT))

    @classmethod
    def known(cls, passphrase: str, header: str) -> Encryption:
        """The encryption that `header` came from. Raises UserError when the passphrase is another."""
        fields = json.loads(header)
        found = cls(passphrase, base64.b64decode(fields["salt"]))
        try:
            found.decrypt(base64.b64decode(fields["known"]), "header")
        except UserError:
            raise UserError("that is not the passphrase of this history; try again") from None
        return found

    def header(self) -> str:
        """What must be kept beside the encrypted rows to know the passphrase again: salt and encrypted known text."""
        fields = {"salt": self._salt, "known": self.encrypt(_KNOWN, "header")}
        return json.dumps({name: base64.b64encode(value).decode() for name, value in fields.items()})

    def encrypt(self, plain: bytes, place: str) -> bytes:
        """place: where the bytes belong (a row's id), authenticated so that rows cannot be exchanged unseen."""
        nonce = os.urandom(_NONCE)
        return nonce + bytes(self._cipher.encrypt(nonce, plain, place.encode()))

    def decrypt(self, encrypted: bytes, place: str) -> bytes:
        """Raises UserError when the bytes were altered, moved, or encrypted with another key."""
        from cryptography.exceptions import InvalidTag

        try:
            return bytes(self._cipher.decrypt(encrypted[:_NONCE], encrypted[_NONCE:], place.encode()))
        except (InvalidTag, ValueError):
            raise UserError("an entry of the history was altered or belongs to another passphrase") from None
