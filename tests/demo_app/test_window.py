"""The app in a real window under Xvfb, driven by X events alone; watched.py only looks."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile

import pytest
from hands import NORMAL, PHOTO, REPOSITORY, read_example


def test_first_run_notice_then_an_example_is_answered(open_phone):
    phone = open_phone("900x700", accepted=False)
    assert phone.state()["dialog"]
    phone.key("Escape")
    assert phone.state()["dialog"]  # it must be answered
    phone.tap("accept")
    phone.wait(lambda: not phone.state()["dialog"])
    assert "Research use only. Not a diagnosis." in phone.texts()
    state = read_example(phone)
    (_question, answer), *_ = state["turns"]
    assert len(answer.split()) > 5
    assert answer in phone.texts()
    assert any(text.endswith(" %") for text in phone.texts())
    assert json.loads((phone.data / "settings.json").read_text())["accepted"] is True


def test_corners_are_found_dragged_and_reset(open_phone):
    phone = open_phone()
    phone.tap(f"example.{PHOTO}")
    phone.wait(lambda: phone.state()["screen"] == "crop")
    proposed = phone.state()["corners"]
    assert proposed[0] == pytest.approx((0.109, 0.086), abs=0.02)
    crop = phone.find("crop")["box"]
    width = crop[2] - 44
    height = width * 1050 / 1400
    top = crop[1] + (crop[3] - height) / 2
    start = crop[0] + 22 + proposed[0][0] * width, top + proposed[0][1] * height
    phone.drag(start, (start[0] + 40, start[1] + 30))
    moved = phone.state()["corners"]
    assert moved[0][0] - proposed[0][0] == pytest.approx(40 / width, abs=0.02)
    assert moved[0][1] - proposed[0][1] == pytest.approx(30 / height, abs=0.02)
    assert moved[1:] == proposed[1:]
    phone.key("3", "Left", "Left")
    assert phone.state()["corners"][2][0] == pytest.approx(moved[2][0] - 0.008, abs=1e-6)
    phone.tap("whole")
    assert phone.state()["corners"] == [[0, 0], [1, 0], [1, 1], [0, 1]]
    phone.tap("auto")
    assert phone.state()["corners"] == proposed
    phone.tap("turn-right")
    phone.wait(lambda: phone.state()["corners"][0] != proposed[0])


def test_follow_up_keeps_the_conversation_and_history_finds_it(open_phone):
    phone = open_phone("900x700")
    read_example(phone)
    phone.tap("question")
    phone.type("What is the rhythm?")
    phone.key("Return")
    phone.wait(lambda: len(phone.state()["turns"]) == 2)
    phone.idle()
    assert phone.state()["turns"][1][0] == "What is the rhythm?"
    assert phone.state()["turns"][1][1] in phone.texts()
    phone.tap("nav.history")
    phone.wait(lambda: phone.find("entry"))
    phone.tap("search")
    phone.type("zebra")
    phone.wait(lambda: not phone.find("entry"))
    phone.key("ctrl+a")
    phone.type("rhythm")
    phone.wait(lambda: phone.find("entry"))
    phone.tap(next(w["name"] for w in phone.widgets() if w["name"].startswith("open.")))
    phone.wait(lambda: phone.find("page"))
    phone.reads("Similar cases")
    phone.reads("What is the rhythm?")
    phone.tap("delete")
    phone.tap("confirm")
    phone.wait(lambda: phone.state()["screen"] == "history" and not phone.find("entry"))


def test_wheel_keys_and_a_tap_on_a_lead_zoom_the_page(open_phone):
    phone = open_phone()
    read_example(phone)
    x, y, width, height = phone.find("page")["box"]
    phone.point(x + width / 2, y + height / 2)
    phone.xdo("click", "--repeat", "3", "4")
    phone.wait(lambda: phone.state()["zoom"] > 1.5)
    phone.key("0")
    phone.wait(lambda: phone.state()["zoom"] == 1)
    phone.key("plus")
    phone.wait(lambda: phone.state()["zoom"] > 1.2)
    phone.key("0")
    phone.wait(lambda: phone.state()["zoom"] == 1)
    traces = phone.state()["traces"]
    assert len(traces) == 13
    aim = next(index for index, (lead, _) in enumerate(traces) if lead == "V2")
    shown = min(width / 964, height / 680)  # the example's picture, as large as it goes
    across, down = ((traces[aim][1][i] + traces[aim][1][i + 2]) / 2 - 0.5 for i in (0, 1))
    phone.click(x + width / 2 + across * 964 * shown, y + height / 2 + down * 680 * shown)
    phone.wait(lambda: phone.state()["lead"] == aim)
    assert phone.state()["zoom"] > 2
    phone.tap("lead.aVF")
    phone.wait(lambda: traces[phone.state()["lead"]][0] == "aVF")
    phone.tap("traces")
    phone.wait(lambda: "Show traces" in phone.texts())
    phone.tap("lead.whole")
    phone.wait(lambda: phone.state()["zoom"] == 1)


def test_no_tap_is_lost_while_the_screen_is_built_anew(open_phone):
    """As when the model becomes ready just then; here the screen is built anew with every frame."""
    phone = open_phone(environ={"WATCHED_RESTLESS": "1"})
    for place in ("history", "models", "settings", "home") * 3:
        x, y, width, height = phone.find(f"nav.{place}")["box"]
        phone.click(x + width / 2, y + height / 2)
        phone.wait(lambda place=place: phone.state()["screen"] == place, 5)


def test_answer_is_cancelled_and_can_be_asked_again(open_phone):
    # Slow enough to be caught in the act: see watched.py.
    phone = open_phone(environ={"WATCHED_SLOW_S": "0.25"})
    phone.tap(f"example.{NORMAL}")
    phone.wait(lambda: phone.state()["screen"] == "crop")
    phone.tap("read")
    phone.wait(lambda: phone.state()["partial"])
    phone.tap("stop")
    state = phone.wait(lambda: (s := phone.state())["stage"] == "idle" and s, 2)
    assert state["turns"] == []
    assert "Stopped. Nothing of this answer is kept." in phone.texts()
    phone.tap("again")
    phone.wait(lambda: phone.state()["stage"] == "answering")
    phone.key("Escape")  # leaving the screen cancels too
    phone.wait(lambda: phone.state()["screen"] == "crop" and phone.state()["stage"] == "idle")
    phone.tap("nav.history")
    phone.wait(lambda: any("kept on this device" in text for text in phone.texts()))


def zipped(folder, target, **changed):
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            archive.writestr(f"bundle/{name}", changed.get(name.replace(".", "_"), path.read_bytes()))


def test_tampered_bundle_is_refused_and_a_good_one_is_imported_and_removed(open_phone, bundle, tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    zipped(bundle, downloads / "tampered.zip", tokenizer_json=b"{}" + b" " * (bundle / "tokenizer.json").stat().st_size)
    zipped(bundle, downloads / "good.zip")
    phone = open_phone(environ={"HOME": str(downloads)})
    phone.tap("nav.models")
    phone.tap("import.zip")
    phone.tap("file.tampered.zip")
    phone.wait(lambda: phone.state()["error"])
    assert "tokenizer.json" in phone.state()["error"]
    assert "altered" in phone.state()["error"]
    assert phone.state()["error"] in phone.texts()
    assert list((phone.data / "bundles").iterdir()) == []
    phone.tap("import.zip")
    phone.tap("file.good.zip")
    phone.wait(lambda: len(list((phone.data / "bundles").glob("pulse-nano-*"))) == 1)
    remove = phone.wait(lambda: next((w["name"] for w in phone.widgets() if w["name"].startswith("remove.")), None))
    phone.tap(remove)
    phone.tap("confirm")
    phone.wait(lambda: list((phone.data / "bundles").iterdir()) == [])


def test_bundle_that_no_engine_here_runs_is_listed_and_cannot_be_used(open_phone, gguf_bundle, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(gguf_bundle, home / "for-llama")
    phone = open_phone(environ={"HOME": str(home)})
    phone.tap("nav.models")
    phone.tap("import.folder")
    phone.tap("folder.for-llama")
    phone.tap("this")
    remove = phone.wait(lambda: next((w["name"] for w in phone.widgets() if w["name"].startswith("remove.")), None))
    (sentence,) = (text for text in phone.texts() if text.startswith("This app has no engine for "))
    assert phone.find(remove.replace("remove.", "use.")) is None
    phone.close()
    # At the next start it is still there, and the app is too.
    phone = open_phone(environ={"HOME": str(home)})
    phone.wait(lambda: phone.state()["model"] == "ready")
    phone.tap("nav.models")
    phone.reads(sentence)
    phone.tap(remove)
    phone.tap("confirm")
    phone.wait(lambda: list((phone.data / "bundles").iterdir()) == [])


def test_app_with_nothing_but_such_a_bundle_asks_for_one(open_phone, gguf_bundle, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(gguf_bundle, home / "for-llama")
    phone = open_phone(environ={"HOME": str(home), "WATCHED_NO_BUNDLE": "1"})
    phone.tap("to-models")
    phone.tap("import.folder")
    phone.tap("folder.for-llama")
    phone.tap("this")
    phone.wait(lambda: any(w["name"].startswith("remove.") for w in phone.widgets()))
    assert phone.state()["model"] == "none"
    phone.tap("nav.home")
    phone.wait(lambda: phone.find("no-model"))


def test_benchmark_measures_and_writes_its_report(open_phone):
    phone = open_phone()
    phone.tap("nav.models")
    phone.tap("bench")
    phone.tap("bench.start")
    phone.wait(lambda: phone.find("figures"))
    (report,) = (phone.data / "reports").glob("app-*.json")
    result = json.loads(report.read_text())
    assert result["runs"] == 10
    for row in ("first_token_ms", "decode_tokens_per_s", "memory_mb"):
        figure = result["figures"][row]
        assert 0 < figure["min"] <= figure["p50"] <= figure["p90"] <= figure["max"]
    assert result["longest_frame_ms"] > 0
    assert len(result["bundle"]["sha256"]) == 64


def test_answer_is_saved_as_pdf_and_png(open_phone):
    phone = open_phone()
    read_example(phone)
    for ending, magic in (("pdf", b"%PDF-"), ("png", b"\x89PNG")):
        phone.tap("share")
        phone.tap(f"share.{ending}")
        phone.wait(lambda: phone.find("close"))
        phone.tap("close")
        (saved,) = (phone.data / "shared").glob(f"*.{ending}")
        assert (phone.data / "shared" / f"{saved.stem}.hea").is_file()
        assert saved.read_bytes().startswith(magic)


def test_settings_change_language_theme_and_size_at_once(open_phone):
    phone = open_phone()
    phone.tap("nav.settings")
    phone.tap("language.de")
    phone.wait(lambda: "Optionen" in phone.texts())
    phone.tap("theme.dark")
    phone.wait(lambda: json.loads((phone.data / "settings.json").read_text())["theme"] == "dark")
    before = next(w["box"][3] for w in phone.widgets() if w["text"] == "Optionen")
    phone.tap("text.1.45")
    phone.wait(lambda: next(w["box"][3] for w in phone.widgets() if w["text"] == "Optionen") > 1.2 * before)


def test_history_is_encrypted_and_locked_at_the_next_start(open_phone):
    phone = open_phone()
    state = read_example(phone)
    phone.tap("nav.settings")
    phone.tap("encrypt")
    phone.tap("new-passphrase")
    phone.type("correct horse")
    phone.tap("confirm")
    phone.wait(lambda: "The history is encrypted." in phone.texts())
    phone.close()
    assert state["turns"][0][1].encode()[:20] not in (phone.data / "history.sqlite").read_bytes()
    phone = open_phone()
    phone.tap("nav.history")
    phone.tap("passphrase")
    phone.type("wrong horse")
    phone.key("Return")
    phone.wait(lambda: "passphrase" in phone.state()["error"])
    phone.tap("passphrase")
    phone.type("correct horse")
    phone.key("Return")
    phone.wait(lambda: phone.find("entry"))


def test_no_bundle_is_said_and_one_can_be_imported(open_phone, bundle, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(bundle, home / "my-bundle")
    # No bundle: the package has none to carry, and neither has the folder that it is started in.
    phone = open_phone(environ={"HOME": str(home), "WATCHED_NO_BUNDLE": "1"})
    assert phone.find("no-model")
    assert "make app" in (phone.data / "log.txt").read_text()
    phone.tap("to-models")
    phone.tap("import.folder")
    phone.tap("folder.my-bundle")
    phone.tap("this")
    phone.wait(lambda: phone.state()["model"] == "ready")
    read_example(phone)


def test_everything_can_be_done_with_the_keyboard(open_phone):
    phone = open_phone("900x700")
    for _ in range(40):
        phone.key("Tab")
        if any(w["focus"] and w["name"] == f"example.{NORMAL}" for w in phone.widgets()):
            break
    phone.key("Return")
    phone.wait(lambda: phone.state()["screen"] == "crop")
    for _ in range(40):
        phone.key("Tab")
        if any(w["focus"] and w["name"] == "read" for w in phone.widgets()):
            break
    phone.key("space")
    phone.wait(lambda: phone.state()["turns"])
    phone.idle()
    phone.key("Escape", "Escape")
    assert phone.state()["screen"] == "home"
    phone.key("Escape")  # nowhere to go back to: the app ends
    phone.process.wait(20)
    assert phone.process.returncode == 0


@pytest.mark.slow
def test_fifty_analyses_leave_memory_flat_and_the_window_alive(open_phone):
    phone = open_phone()
    memory, gaps = {}, []
    for count in range(1, 51):
        phone.ask("gaps")
        read_example(phone, (NORMAL, PHOTO)[count % 2])
        gaps += phone.ask("gaps")
        memory[count] = phone.ask("memory")
    assert memory[50] <= 1.10 * memory[5]
    assert len(gaps) > 500


def test_language_file_that_was_added_is_a_language_of_the_app(open_phone, tmp_path):
    package = tmp_path / "copy" / "demo_app"
    shutil.copytree(REPOSITORY / "demo_app", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "docs" / "examples" / "fr.json", package / "languages")
    phone = open_phone(environ={"PYTHONPATH": f"{package.parent}{os.pathsep}{REPOSITORY}"})
    phone.tap("nav.settings")
    phone.tap("language.fr")
    phone.wait(lambda: {"Réglages", "Français"} <= set(phone.texts()))
    # The rest is in English, and that is said.
    assert any(re.fullmatch(r"Français : traduction partielle \(\d+ %\).*", text) for text in phone.texts())
    phone.reads("Signatures")
    assert json.loads((phone.data / "settings.json").read_text())["language"] == "fr"
    phone.close()
    # Without the file the app speaks the system's language again.
    phone = open_phone()
    assert "Read an ECG" in phone.texts()
