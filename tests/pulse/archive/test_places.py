"""Sources and parts on other file systems: over SFTP, before a real sshd that knows nothing of fsspec."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("paramiko")
import fsspec
from reading import ROOT, many_pages, rows

from pulse.archive.cli import main
from pulse.archive.places import Folder
from pulse.archive.sources import inputs

RECORD = ROOT / "tests" / "data" / "ptbxl" / "records100" / "00000" / "00010_lr"


@pytest.fixture(scope="module")
def sftp(tmp_path_factory):
    """sftp://USER@127.0.0.1, whose key and port stand in fsspec's configuration as a user's would."""
    sshd, folder = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin"), tmp_path_factory.mktemp("sftp")
    if sshd is None:
        if os.environ.get("CI"):
            pytest.fail("no sshd is installed; as root: apt-get install openssh-server")
        pytest.skip("no sshd is installed")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        "Subsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None, (folder / "log").read_text()
        time.sleep(0.05)
    before = fsspec.config.conf.get("sftp")
    key = {"key_filename": str(folder / "user"), "look_for_keys": False, "allow_agent": False}
    fsspec.config.conf["sftp"] = {"port": port, **key}
    yield f"sftp://{getpass.getuser()}@127.0.0.1"
    process.terminate()
    process.wait()
    fsspec.config.conf["sftp"] = before or {}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = many_pages(tmp_path_factory.mktemp("far") / "scans ü 100%", 3)
    for suffix in (".hea", ".dat"):
        shutil.copy(RECORD.with_suffix(suffix), folder)
    return folder


def test_a_far_source_and_output_give_the_same_rows(sftp, archive, tmp_path):
    assert main([str(archive), "--out", str(tmp_path / "here"), "--processes", "1"]) == 0
    argv = [f"{sftp}{archive}", "--out", f"{sftp}{tmp_path}/far/away", "--processes", "1", "--part", "2"]
    assert main(argv) == 0
    here, far = rows(tmp_path / "here"), rows(tmp_path / "far" / "away")
    assert len(list((tmp_path / "far" / "away").glob("part-*"))) == 3
    for row in here:
        row["error"] = row["error"] and row["error"].replace(f"{archive}/", "")
    assert far == here
    assert {row["kind"] for row in far} == {"picture", "record"}


def test_a_far_run_goes_on_and_its_parts_appear_whole(sftp, archive, tmp_path):
    out = Folder(f"{sftp}{tmp_path}/out")
    out.make()
    (tmp_path / "out" / ".partial.part-00000.parquet").write_bytes(b"cut off")
    argv = [f"{sftp}{archive}", "--out", out.place, "--processes", "1", "--part", "2"]
    assert main(argv) == 0
    assert out.names() == ["_recipe.json", *(f"part-{number:05d}.parquet" for number in range(3))]
    whole = rows(tmp_path / "out")
    (tmp_path / "out" / "part-00001.parquet").unlink()
    assert main(argv) == 0
    assert rows(tmp_path / "out") == whole
    assert main([*argv, "--question", "Is this a normal ECG?"]) == 2


def test_far_tars_and_lists(sftp, archive, tmp_path):
    subprocess.run(["tar", "cf", str(tmp_path / "a.tar"), "-C", str(archive), "."], check=True)
    assert {one.name for one in inputs(f"{sftp}{tmp_path}/a.tar")} == {path.name for path in archive.glob("*.png")}
    (tmp_path / "list.txt").write_text(f"page-000.png\n{sftp}{archive}/page-001.png\n/elsewhere/a.png\n")
    assert [one.url or one.path for one in inputs(f"{sftp}{tmp_path}/list.txt")] == [
        f"{sftp}{tmp_path}/page-000.png",
        f"{sftp}{archive}/page-001.png",
        Path("/elsewhere/a.png"),
    ]


def test_what_cannot_be_opened_is_one_line(sftp, archive, tmp_path, capsys):
    (tmp_path / "list.txt").write_text(f"{sftp}/gone.png\n")
    assert main([str(tmp_path / "list.txt"), "--out", str(tmp_path / "out"), "--processes", "1"]) == 0
    assert [row["error"] for row in rows(tmp_path / "out")] == [f"{sftp}/gone.png: is not there"]
    capsys.readouterr()
    for argv, said in (
        ([f"{sftp}/gone", "--out", str(tmp_path / "b")], "gone: is not there, or empty"),
        (["odd://x/y", "--out", str(tmp_path / "c")], "odd://x/y: cannot be opened (Protocol not known: odd)"),
        ([str(archive), "--out", "sftp://127.0.0.1:1/x"], "sftp://127.0.0.1:1/x: cannot be opened"),
        ([str(archive), "--out", f"{sftp}/proc/x"], "cannot write there"),
    ):
        assert main([*argv, "--processes", "1"]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
