"""Is a bundle from whom it should be? manifest.sig is the Ed25519 signature (RFC 8032) of manifest.json's bytes.

The manifest holds the SHA-256 of every other file, the certificate among them: one signature covers the whole folder.
"""

from __future__ import annotations

from pathlib import Path

from edge_runtime.errors import UserError

SIGNATURE = "manifest.sig"
_BYTES = 64


def check_signature(folder: Path, manifest: bytes, public_key: Path) -> None:
    """Raises UserError unless `folder` holds a signature of `manifest` made with the private half of `public_key`.

    public_key: a PEM file (SubjectPublicKeyInfo), as `openssl pkey -pubout` writes it.
    """
    key = _public_key(public_key)
    try:
        signature = (folder / SIGNATURE).read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{folder}: is not signed, and a signature is required; get it from its maker, or export with --sign"
        ) from None
    except OSError as error:
        raise UserError(f"{folder / SIGNATURE}: cannot be read ({error.strerror})") from None
    from cryptography.exceptions import InvalidSignature

    try:
        if len(signature) != _BYTES:
            raise InvalidSignature
        key.verify(signature, manifest)
    except InvalidSignature:
        raise UserError(
            f"{folder}: was not signed with the key of {public_key}, or was altered since; get the bundle again"
        ) from None


def _public_key(path: Path):  # type: ignore[no-untyped-def]  # an Ed25519PublicKey, of a package that may be absent
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise UserError(
            "checking a signature needs cryptography, which is not installed; pip install pulse-edge[sign]"
        ) from None
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a public key in PEM") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UserError(f"{path}: is no Ed25519 public key in PEM; make one with openssl pkey -in KEY.pem -pubout")
    return key
