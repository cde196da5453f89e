"""Import of bundles: good ones whole, bad ones not at all."""

from __future__ import annotations

import json
import shutil
import zipfile

import pytest

from demo_app.bundles import Bundles, describe
from demo_app.worker import Cancelled
from edge_runtime.errors import UserError
from edge_runtime.sign import signer


def pack(folder, target, prefix="bundle/", extra=(), skip=()):
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            if name not in skip:
                archive.write(path, prefix + name)
        for name, data in extra:
            archive.writestr(name, data)
    return target


@pytest.fixture
def bundles(tmp_path):
    return Bundles(tmp_path / "bundles", None)


@pytest.fixture
def keys(tmp_path):
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    made = {}
    for name in ("maker", "other"):
        key = Ed25519PrivateKey.generate()
        private, public = tmp_path / f"{name}.key.pem", tmp_path / f"{name}.pem"
        private.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))
        made[name] = private, public
    return made


def nothing_left(bundles):
    return not bundles.folder.exists() or list(bundles.folder.iterdir()) == []


@pytest.mark.parametrize("form", ["folder", "zip", "flat zip"])
def test_good_bundle_is_imported_listed_and_removed(bundles, bundle, tmp_path, form):
    source = bundle if form == "folder" else pack(bundle, tmp_path / "b.zip", "" if form == "flat zip" else "x/y/")
    shares = []
    added = bundles.add(source, None, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert bundles.installed() == [added]
    assert (added.name, added.target, added.own, added.signed) == ("pulse-nano", "onnx", True, False)
    with pytest.raises(UserError, match="already here"):
        bundles.add(source, None)
    assert len(bundles.installed()) == 1
    bundles.remove(added)
    assert nothing_left(bundles)


MAC = [("__MACOSX/bundle/._manifest.json", b"\0\5\26\7"), ("bundle/.DS_Store", b"x"), ("bundle/._vision.onnx", b"x")]


@pytest.mark.parametrize("form", ["Finder's zip", "Windows' zip", "Finder's folder"])
def test_what_file_managers_leave_is_passed_over(bundles, bundle, tmp_path, form):
    if form == "Finder's folder":
        source = shutil.copytree(bundle, tmp_path / "touched")
        (source / ".DS_Store").write_bytes(b"x")
        (source / "._manifest.json").write_bytes(b"x")
    elif form == "Finder's zip":
        source = pack(bundle, tmp_path / "b.zip", extra=MAC)
    else:
        source = pack(bundle, tmp_path / "b.zip", "bundle\\", extra=[("bundle\\Thumbs.db", b"x")])
    added = bundles.add(source, None)
    assert sorted(p.name for p in added.folder.iterdir()) == sorted(p.name for p in bundle.iterdir())


def test_built_in_bundle_is_listed_first_and_stays(bundle, tmp_path):
    bundles = Bundles(tmp_path / "bundles", bundle)
    bundles.add(pack(bundle, tmp_path / "b.zip"), None)
    first, second = bundles.installed()
    assert (first.own, second.own) == (False, True)
    with pytest.raises(UserError, match="came with the app"):
        bundles.remove(first)
    assert bundle.is_dir()


def manifested(bundle, folder, **changed):
    """The bundle's manifest alone, with some of it changed: all that a list of bundles reads."""
    folder.mkdir(parents=True)
    manifest = json.loads((bundle / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | changed))
    return folder


@pytest.mark.parametrize(
    ("changed", "title"),
    [
        ({"title": None}, "onnx"),
        ({"title": "ONNX Runtime"}, "ONNX Runtime"),
        ({"title": "a\nb\ud800"}, "a\ufffdb\ufffd"),
    ],
)
def test_target_is_called_by_its_title_or_else_by_its_name(bundle, tmp_path, changed, title):
    listed = describe(manifested(bundle, tmp_path / "b", **changed), True)
    assert (listed.title, listed.runs) == (title, True)
    listed.title.encode()  # what Kivy draws must have a form in UTF-8


def test_bundle_for_llama_cpp_is_imported_and_said_not_to_run(bundles, gguf_bundle):
    added = bundles.add(gguf_bundle, None)
    assert (added.target, added.runs) == ("gguf", False)
    assert bundles.installed() == [added]


@pytest.mark.parametrize("changed", [{"title": 7}, {"target": ["onnx"]}, {"name": None}, {"files": 3}])
def test_manifest_that_is_wrong_is_no_bundle(bundle, tmp_path, changed):
    bundles = Bundles(tmp_path / "bundles", None)
    manifested(bundle, tmp_path / "bundles" / "bad", **changed)
    assert bundles.installed() == []


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "bundle/../../evil.txt", "/evil.txt", "bundle/a/../../../evil", "bundle\\..\\evil", "C:/evil"],
)
def test_zip_that_leads_out_of_its_folder_is_refused(bundles, bundle, tmp_path, name):
    source = pack(bundle, tmp_path / "b.zip", extra=[(name, b"evil")])
    with pytest.raises(UserError, match=r"outside the bundle|not a path inside"):
        bundles.add(source, None)
    assert nothing_left(bundles)
    assert not list(tmp_path.rglob("evil*"))


def test_link_in_a_zip_is_refused(bundles, bundle, tmp_path):
    link = zipfile.ZipInfo("bundle/link")
    link.external_attr = 0o120777 << 16
    with pytest.raises(UserError, match="is a link"):
        bundles.add(pack(bundle, tmp_path / "b.zip", extra=[(link, b"/etc/passwd")]), None)
    assert nothing_left(bundles)


def test_link_in_a_folder_is_refused(bundles, bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "b")
    (tmp_path / "b" / "link").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="no plain file"):
        bundles.add(tmp_path / "b", None)
    assert nothing_left(bundles)


def test_altered_missing_and_added_files_are_refused(bundles, bundle, tmp_path):
    altered = shutil.copytree(bundle, tmp_path / "altered")
    raw = bytearray((altered / "tokenizer.json").read_bytes())
    raw[100] ^= 1
    (altered / "tokenizer.json").write_bytes(raw)
    with pytest.raises(UserError, match=r"tokenizer\.json: its SHA-256"):
        bundles.add(altered, None)
    with pytest.raises(UserError, match=r"tokenizer\.json is missing"):
        bundles.add(pack(bundle, tmp_path / "m.zip", skip=("tokenizer.json",)), None)
    with pytest.raises(UserError, match=r"more\.txt is not listed"):
        bundles.add(pack(bundle, tmp_path / "a.zip", extra=[("bundle/more.txt", b"x")]), None)
    assert nothing_left(bundles)


def test_what_is_no_bundle_is_one_line(bundles, tmp_path):
    (tmp_path / "no.zip").write_bytes(b"PK no zip at all")
    with pytest.raises(UserError, match="no readable zip"):
        bundles.add(tmp_path / "no.zip", None)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("readme.txt", b"hello")
    with pytest.raises(UserError, match=r"holds no manifest\.json"):
        bundles.add(tmp_path / "empty.zip", None)
    with pytest.raises(UserError, match=r"holds no manifest\.json"):
        bundles.add(tmp_path, None)
    with pytest.raises(UserError, match="does not exist"):
        bundles.add(tmp_path / "gone.zip", None)
    assert nothing_left(bundles)


def test_zip_larger_than_the_storage_is_refused_before_it_is_written(bundles, bundle, tmp_path, monkeypatch):
    source = pack(bundle, tmp_path / "b.zip")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(UserError, match=r"needs \d+ MB but only 0 MB are free"):
        bundles.add(source, None)
    assert nothing_left(bundles)


def test_signature_is_checked_where_a_key_is_set(bundles, bundle, tmp_path, keys):
    private, public = keys["maker"]
    with pytest.raises(UserError, match="is not signed"):
        bundles.add(bundle, public)
    signed = shutil.copytree(bundle, tmp_path / "signed")
    signer(private)(signed)
    with pytest.raises(UserError, match="was not signed with the key"):
        bundles.add(signed, keys["other"][1])
    assert nothing_left(bundles)
    assert bundles.add(pack(signed, tmp_path / "s.zip"), public).signed


def test_import_that_is_stopped_leaves_nothing(bundles, bundle):
    def stop(share):
        raise Cancelled

    with pytest.raises(Cancelled):
        bundles.add(bundle, None, stop)
    assert nothing_left(bundles)


def test_import_that_was_killed_is_swept_away(bundles, bundle):
    bundles.add(bundle, None)
    (bundles.folder / ".part-killed").mkdir()
    bundles.sweep()
    assert len(list(bundles.folder.iterdir())) == 1
