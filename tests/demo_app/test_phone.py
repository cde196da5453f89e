"""Sharing on phones: what is asked of each system's library. Stand-ins, since neither system is here."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hands import REPOSITORY

ANDROID = """
class SharedStorage:
    def copy_to_shared(self, path):
        assert type(path) is str
        print("copied", path)
        return {uri}

class ShareSheet:
    def share_file(self, uri):
        print("shared", uri)

sys.modules["androidstorage4kivy"] = SimpleNamespace(SharedStorage=SharedStorage, ShareSheet=ShareSheet)
"""
IOS = """
def present(sheet, *, animated, completion):
    print("shown", sheet.items, popover.sourceView)

popover = SimpleNamespace(sourceView=None)
class Sheet:
    popoverPresentationController = popover
    def initWithActivityItems(self, items, *, applicationActivities):
        self.items = items
        return self

screen = SimpleNamespace(view="the view", presentViewController=present)
window = SimpleNamespace(rootViewController=screen)
classes = {
    "UIActivityViewController": SimpleNamespace(alloc=Sheet),
    "NSURL": SimpleNamespace(fileURLWithPath=lambda path: "file:" + path),
    "UIApplication": SimpleNamespace(sharedApplication=SimpleNamespace(keyWindow=window)),
}
sys.modules["rubicon"] = sys.modules["rubicon.objc"] = SimpleNamespace(ObjCClass=classes.__getitem__)
"""


def share(platform, library):
    code = (
        "import sys\nfrom pathlib import Path\nfrom types import SimpleNamespace\n"
        f"{library}\nfrom demo_app.ui import phone\nphone.platform = {platform!r}\n"
        "try:\n    phone.share_file(Path('/data/ecg.pdf'))\n"
        "except phone.UserError as error:\n    print(error)\n"
    )
    quiet = {"KIVY_NO_ARGS": "1", "KIVY_NO_CONSOLELOG": "1", "KIVY_NO_FILELOG": "1", "KIVY_NO_CONFIG": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **quiet}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_android_shares_a_copy_that_other_apps_may_read():
    assert share("android", ANDROID.format(uri="'content://1'")) == "copied /data/ecg.pdf\nshared content://1"


def test_ios_shows_its_sheet_from_the_view_on_the_screen():
    assert share("ios", IOS) == "shown ['file:/data/ecg.pdf'] the view"


@pytest.mark.parametrize(("platform", "library"), [("android", ANDROID.format(uri="None")), ("ios", "")])
def test_file_stays_where_it_was_saved_if_it_cannot_be_shared(platform, library):
    assert share(platform, library).endswith("ecg.pdf was saved, but this system has no way to share it")


def test_runtime_of_nothing_but_compiled_files_answers(bundle, tmp_path):
    """As python-for-android packs it: engines are found by file, and the files there are .pyc."""
    lay_out = [str(REPOSITORY / "scripts" / "phone_sources.sh"), str(bundle), str(tmp_path / "phone")]
    subprocess.run(["bash", *lay_out], cwd=REPOSITORY, check=True, timeout=60)
    folder = tmp_path / "phone"
    subprocess.run([sys.executable, "-m", "compileall", "-q", "-b", str(folder)], check=True, timeout=60)
    for source in folder.rglob("*.py"):
        source.unlink()
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "import edge_runtime.ask, demo_app.strings\n"
        "assert edge_runtime.ask.__file__.endswith('.pyc'), edge_runtime.ask.__file__\n"
        "from edge_runtime.registry import Registry\n"
        "assert 'onnx' in Registry('edge_runtime.engines', 'ENGINE', 'engine').names()\n"
        "assert 'en' in demo_app.strings.languages()\n"
        "sys.exit(edge_runtime.ask.main(['demo_app/bundle', 'demo_app/examples/b-normal.jpg']))"
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 5
