"""What must outlive a rotation, another screen, the background and a kill; in a real window."""

from __future__ import annotations

import pytest
from hands import PHOTO, read_example


def test_rotation_keeps_what_is_open(open_phone):
    phone = open_phone()
    before = read_example(phone)
    phone.tap("question")
    phone.type("Is it")
    phone.xdo("windowsize", "--sync", phone.window, "800", "400")
    phone.wait(lambda: phone.find("question") and phone.find("nav.home")["box"][0] < 120)
    after = phone.state()
    assert after["turns"] == before["turns"]
    assert after["findings"] == 12
    assert phone.find("question")["text"] == "Is it"


def test_killed_in_the_middle_of_an_answer_keeps_the_history(open_phone):
    phone = open_phone()
    read_example(phone)
    phone.tap("nav.history")
    phone.wait(lambda: phone.find("entry"))
    phone.close()
    phone = open_phone(environ={"WATCHED_SLOW_S": "0.25"})
    phone.tap(f"example.{PHOTO}")
    phone.wait(lambda: phone.state()["screen"] == "crop")
    phone.tap("read")
    phone.wait(lambda: phone.state()["partial"])
    phone.kill()
    phone = open_phone()
    assert phone.find("resume")  # the picture that was being read
    phone.tap("nav.history")
    phone.wait(lambda: phone.find("entry"))
    assert sum(w["name"] == "entry" for w in phone.widgets()) == 1
    phone.tap("nav.home")
    phone.tap("resume")
    phone.wait(lambda: phone.state()["screen"] == "crop")
    assert phone.state()["corners"][0] == pytest.approx((0.109, 0.086), abs=0.02)


def test_picture_that_was_left_for_the_home_screen_is_still_open(open_phone):
    phone = open_phone()
    read_example(phone)
    phone.tap("nav.home")
    phone.wait(lambda: phone.state()["screen"] == "home")
    phone.tap("resume")
    phone.wait(lambda: phone.state()["screen"] == "result")
    phone.reads(phone.state()["turns"][0][1])
    phone.key("Escape")
    phone.wait(lambda: phone.state()["screen"] == "home")


def test_app_in_the_background_keeps_its_state_and_its_draft(open_phone):
    phone = open_phone()
    phone.tap(f"example.{PHOTO}")
    phone.wait(lambda: phone.state()["screen"] == "crop")
    phone.tap("whole")
    phone.wait(lambda: phone.state()["corners"] == [[0, 0], [1, 0], [1, 1], [0, 1]])
    assert phone.ask("pause")
    phone.ask("resume")
    assert phone.state()["corners"] == [[0, 0], [1, 0], [1, 1], [0, 1]]
    phone.tap("nav.settings")  # still alive to touch
    phone.tap("nav.home")
    phone.wait(lambda: phone.state()["screen"] == "crop")
    phone.ask("pause")
    phone.kill()  # as phones do with apps that wait in the background
    phone = open_phone()
    phone.tap("resume")
    phone.wait(lambda: phone.state()["screen"] == "crop")
    assert phone.state()["corners"] == [[0, 0], [1, 0], [1, 1], [0, 1]]
