"""In a real window: the page of a file chosen by its thumbnail, a page that lies turned, a name in another script."""

from __future__ import annotations

import numpy as np
from PIL import Image
from test_fonts import made

from demo_app.outline import quarters_up


def test_a_page_is_chosen_by_its_thumbnail(open_phone, clean, tmp_path):
    # A copy: a picture that another test saved as JPEG keeps that encoder.
    sheets = [Image.new("RGB", clean.size, "white"), clean.copy(), Image.new("RGB", clean.size, "white")]
    sheets[0].save(tmp_path / "fax.tif", save_all=True, append_images=sheets[1:])
    phone = open_phone("360x640", tmp_path / "fax.tif")
    # Tiles come one by one; a wheel turned meanwhile would throw a list that fits its screen about.
    phone.wait(lambda: phone.state()["screen"] == "pages" and (last := phone.find("page.3")) and last["whole"])
    assert "This file has 3 pages. Choose the one with the ECG." in phone.texts()
    phone.tap("page.2")
    state = phone.wait(lambda: (s := phone.state())["screen"] == "crop" and s)
    assert (state["title"], state["picture"]) == ("fax, 2/3", list(clean.size))
    phone.key("Escape")
    phone.wait(lambda: phone.state()["screen"] == "pages" and phone.find("page.1"))


def test_a_turned_page_is_told_and_put_upright(open_phone, clean, tmp_path):
    assert [quarters_up(clean.rotate(90 * turns, expand=True)) for turns in (0, 1, 2)] == [0, 1, 2]
    clean.rotate(90, expand=True).save(tmp_path / "scan.png")
    phone = open_phone("360x640", tmp_path / "scan.png")
    phone.wait(lambda: phone.find("lies"))
    phone.tap("upright")
    phone.wait(lambda: phone.state()["picture"] == list(clean.size) and not phone.find("lies"))


def test_a_name_in_another_script_is_drawn_with_the_devices_font(open_phone, clean, tmp_path):
    made(tmp_path / "fonts" / "Squares.ttf", "心")
    clean.save(tmp_path / "心.png")
    phone = open_phone(
        "360x640", tmp_path / "心.png", environ={"XDG_DATA_HOME": str(tmp_path), "XDG_DATA_DIRS": "/nowhere"}
    )
    assert phone.wait(lambda: phone.state()["screen"] == "crop" and phone.state()["title"]) == "心"
    phone.key("Escape")  # home says which picture is open
    shown = phone.wait(lambda: next((w for w in reversed(phone.widgets()) if "心" in w["text"]), None))
    assert phone.ask(f"shot {tmp_path / 'shot.png'}")
    x, y, width, height = map(round, shown["box"])
    shot = np.asarray(Image.open(next(tmp_path.glob("shot*.png"))).convert("L"))[y : y + height, x : x + width]
    # The made letter is a square, 15 pixels of one colour, where a missing one is a thin frame.
    ink = shot < shot.min() + 20
    solid = [
        ink[row : row + 12, column : column + 12].all() for row in range(height - 12) for column in range(width - 12)
    ]
    assert any(solid)
