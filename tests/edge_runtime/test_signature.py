"""Signed bundles: what is let in, what is refused, and that the signature covers every file."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from edge_runtime.ask import main
from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.errors import UserError
from edge_runtime.signature import SIGNATURE


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def key():
    return Ed25519PrivateKey.generate()


@pytest.fixture
def public(key, tmp_path):
    path = tmp_path / "public.pem"
    path.write_bytes(public_pem(key))
    return path


@pytest.fixture
def signed(tiny, tmp_path, key):
    folder = tmp_path / "signed"
    shutil.copytree(tiny.folder, folder)
    (folder / "certificate.json").write_text('{"status": "pass"}\n')
    write_manifest(folder, {k: v for k, v in tiny.manifest.items() if k not in ("files", "format_version")})
    (folder / SIGNATURE).write_bytes(key.sign((folder / "manifest.json").read_bytes()))
    return folder


def test_a_signed_bundle_loads_with_and_without_its_key(signed, public):
    assert Bundle.load(signed, public).manifest == Bundle.load(signed).manifest


def test_an_altered_manifest_is_refused_before_it_is_believed(signed, public):
    manifest = json.loads((signed / "manifest.json").read_text())
    manifest["format_version"] = 99
    (signed / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="altered since"):
        Bundle.load(signed, public)


@pytest.mark.parametrize("name", ["decoder.onnx", "certificate.json", "tokenizer.json"])
def test_an_altered_file_is_refused(signed, public, name):
    data = bytearray((signed / name).read_bytes())
    data[len(data) // 2] ^= 1
    (signed / name).write_bytes(data)
    with pytest.raises(UserError, match="SHA-256"):
        Bundle.load(signed, public)


def test_a_manifest_written_anew_to_match_loses_its_signature(signed, public, tiny):
    (signed / "certificate.json").write_text('{"status": "fail"}\n')
    write_manifest(signed, {k: v for k, v in tiny.manifest.items() if k not in ("files", "format_version")})
    assert not (signed / SIGNATURE).exists()
    assert Bundle.load(signed).folder == signed
    with pytest.raises(UserError, match="is not signed, and a signature is required"):
        Bundle.load(signed, public)


@pytest.mark.parametrize("content", [b"", bytes(63), bytes(64), bytes(65)])
def test_a_wrong_signature_is_refused(signed, public, content):
    (signed / SIGNATURE).write_bytes(content)
    with pytest.raises(UserError, match="was not signed with the key"):
        Bundle.load(signed, public)


def test_another_key_is_refused(signed, tmp_path):
    other = tmp_path / "other.pem"
    other.write_bytes(public_pem(Ed25519PrivateKey.generate()))
    with pytest.raises(UserError, match=r"was not signed with the key of .*other\.pem"):
        Bundle.load(signed, other)


def test_what_is_no_public_key_is_named(signed, key, tmp_path):
    contents = {
        "words": b"not a key",
        "elliptic": public_pem(generate_private_key(SECP256R1())),
        "private": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"{name}: is no Ed25519 public key in PEM; make one with openssl"):
            Bundle.load(signed, path)
    with pytest.raises(UserError, match="cannot be read"):
        Bundle.load(signed, tmp_path / "absent")


def test_a_signature_that_cannot_be_read_is_named(signed, public):
    (signed / SIGNATURE).unlink()
    (signed / SIGNATURE).mkdir()
    with pytest.raises(UserError, match=r"manifest\.sig: cannot be read"):
        Bundle.load(signed, public)


def test_missing_cryptography_says_what_to_install(signed, public, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(UserError, match=r"pip install pulse-edge\[sign\]"):
        Bundle.load(signed, public)


def test_pulse_ask_refuses_an_unsigned_bundle(tiny, public, capsys):
    assert main([str(tiny.folder), "page.png", "--require-signature", str(public)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not signed" in line
