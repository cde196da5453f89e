"""Sign a finished bundle: who holds the public key can then tell that nobody changed it on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_runtime.errors import UserError
from edge_runtime.files import replacing
from edge_runtime.manifest import MANIFEST
from edge_runtime.signature import SIGNATURE


def signer(private_key: Path) -> Callable[[Path], None]:
    """What signs a bundle folder with an Ed25519 key: unencrypted PEM (PKCS #8), as `openssl genpkey` writes it.

    Raises UserError at once when the key cannot be used, so that no export is done in vain.
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise UserError("--sign needs cryptography, which is not installed; pip install pulse-edge[sign]") from None
    try:
        key = load_pem_private_key(private_key.read_bytes(), password=None)
    except OSError as error:
        raise UserError(f"{private_key}: cannot be read ({error.strerror}); give a private key in PEM") from None
    except TypeError:
        raise UserError(f"{private_key}: is encrypted; decrypt it first with openssl pkey") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(
            f"{private_key}: is no Ed25519 private key in PEM; make one with openssl genpkey -algorithm ed25519"
        )
    found = key

    def sign(folder: Path) -> None:
        with replacing(folder / SIGNATURE) as aside:
            aside.write_bytes(found.sign((folder / MANIFEST).read_bytes()))

    return sign
