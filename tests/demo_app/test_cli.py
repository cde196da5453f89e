"""pulse-demo by itself: its options, and one line for what it cannot do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from demo_app.paths import data_folder


def run(*arguments, **environ):
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")} | environ
    return subprocess.run(
        [sys.executable, "-m", "demo_app", *arguments], env=env, capture_output=True, text=True, timeout=60
    )


def test_help_is_ours_and_not_kivys():
    done = run("--help")
    assert done.returncode == 0
    assert "--bundle" in done.stdout
    assert "kivy" not in done.stdout.lower()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "12x9"], "at least 320x320"),
        (["--bundle", "/no/such/folder"], "does not exist"),
        (["--data", "/proc/nowhere"], "cannot be written to"),
        (["--colour"], "unrecognized arguments"),
        ([], "there is no display"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, arguments, message):
    done = run(*arguments, PULSE_DEMO_DATA=str(tmp_path))
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_help_and_a_missing_kivy_need_the_base_install_alone(tmp_path):
    """Whatever imports Kivy ends here as it does where the extra is not installed."""
    (tmp_path / "kivy.py").write_text("raise ModuleNotFoundError('No module named kivy', name='kivy')")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    assert run("--help", PYTHONPATH=path).returncode == 0
    done = run(PYTHONPATH=path, PULSE_DEMO_DATA=str(tmp_path))
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "pip install 'pulse-edge[demo]'" in line


@pytest.mark.parametrize(
    ("platform", "environ", "folder"),
    [
        ("linux", {"HOME": "/h"}, "/h/.local/share/pulse-demo"),
        ("linux", {"HOME": "/h", "XDG_DATA_HOME": "/x"}, "/x/pulse-demo"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Application Support/pulse-demo"),
        ("win32", {"HOME": "/h", "APPDATA": "/a"}, "/a/pulse-demo"),
        ("ios", {"HOME": "/h"}, "/h/Documents/pulse-demo"),
        ("linux", {"HOME": "/h", "ANDROID_PRIVATE": "/data/app"}, "/data/app/pulse-demo"),
        ("darwin", {"HOME": "/h", "PULSE_DEMO_DATA": "/mine"}, "/mine"),
    ],
)
def test_data_lies_where_each_system_wants_it(platform, environ, folder):
    assert data_folder(environ, platform).as_posix() == folder
