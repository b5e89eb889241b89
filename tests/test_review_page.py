"""The page of a review in a real browser: by keys and by mouse, on every screen, light on a long recording."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_clips import playable, portrait_clip, write_video
from review_browser import opened, program, rows
from small_recordings import write_recording

import streamspot.review

PAGE = Path(streamspot.review.__file__).with_name("page")


def becomes(points: Path, expected: tuple[str, ...]) -> None:
    """Wait until the file holds this one label."""
    for _ in range(100):
        if (found := marks(points, 1)) == [expected]:
            return
        time.sleep(0.05)
    raise AssertionError(found)


def marks(path: Path, lines: int) -> list[tuple[str, ...]]:
    """Return kind, point, onset and offset of each row."""
    return [(row["kind"], row["point"], row["onset"], row["offset"]) for row in rows(path, lines)]


def on_timeline(page: Any, seconds: float) -> tuple[Callable[[float], float], float, float]:
    """Return where a time lies of a timeline that shows so many seconds, and the heights of labels and events."""
    box = page.locator("#timeline").bounding_box()
    motion = round((box["height"] - 80) * 0.55)
    bottom = box["y"] + box["height"] - motion
    return lambda time_s: box["x"] + 104 + time_s / seconds * (box["width"] - 112), bottom - 17, bottom - 47


@pytest.fixture(scope="module")
def portrait_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clip with two expressions, which are spotted."""
    return write_video(tmp_path_factory.mktemp("clips") / "portrait.mp4", portrait_clip())


def test_events_are_accepted_shifted_and_rejected_by_keys(
    browser: Any, portrait_file: Path, tmp_path: Path
) -> None:
    """n, a, r, shift, set the ends, undo and redo, and what is in the files after each."""
    points = tmp_path / "points.csv"
    with program(portrait_file, "--out", tmp_path) as (address, _), opened(browser, address) as page:
        page.keyboard.press("n")
        page.keyboard.press("a")
        ((kind, point, onset, offset),) = marks(points, 1)
        assert kind == "macro"
        assert int(onset) < int(point) < int(offset)
        assert page.locator("tr[aria-selected=true]").inner_text().startswith("macro")
        page.keyboard.press("n")
        page.keyboard.press("r")
        assert marks(points, 2)[1][0] == "rejected"
        assert [row["kind"] for row in rows(tmp_path / "annotations.csv", 1)] == ["macro"]
        page.keyboard.press("a")  # changed their mind: the same label
        assert [row["kind"] for row in rows(tmp_path / "annotations.csv", 2)] == ["macro", "macro"]
        page.keyboard.press("z")
        page.keyboard.press("z")
        assert marks(points, 1) == [("macro", point, onset, offset)]
        page.keyboard.press("y")
        assert len(marks(points, 2)) == 2
        page.keyboard.press("z")
        marks(points, 1)
        page.keyboard.press("Escape")
        page.keyboard.press("p")
        page.keyboard.press(".")
        shifted = [str(int(one) + 1) for one in (point, onset, offset)]
        becomes(points, ("macro", *shifted))
        for _ in range(2):
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("2")
        becomes(points, ("macro", str(int(point) - 2), *shifted[1:]))
        page.keyboard.press("Delete")
        page.keyboard.press("d")
        becomes(points, ("", "", "", ""))


def test_a_key_is_about_what_lies_under_the_cursor(browser: Any, portrait_file: Path, tmp_path: Path) -> None:
    """Not about what was judged before the cursor went on; the ends of what was judged are set from beside it."""
    points = tmp_path / "points.csv"
    with program(portrait_file, "--out", tmp_path) as (address, _), opened(browser, address) as page:
        page.keyboard.press("n")
        page.keyboard.press("n")
        second = int(page.locator("body").get_attribute("data-frame") or 0)
        page.keyboard.press("p")
        page.keyboard.press("r")
        (first,) = marks(points, 1)
        while int(page.locator("body").get_attribute("data-frame") or 0) < second:
            page.keyboard.press("ArrowRight")
            page.wait_for_timeout(30)
        page.keyboard.press("a")
        assert [kind for kind, *_ in marks(points, 2)] == ["rejected", "macro"]
        assert marks(points, 2)[0] == first
        assert "accepted as macro at 0:0" in page.locator("#said").inner_text()
        onset = int(marks(points, 2)[1][2])
        while int(page.locator("body").get_attribute("data-frame") or 0) > onset - 2:
            page.keyboard.press("ArrowLeft")
            page.wait_for_timeout(30)
        page.keyboard.press("1")
        page.wait_for_timeout(300)
        assert int(marks(points, 2)[1][2]) == onset - 2


def test_labels_are_drawn_and_dragged_with_the_mouse(
    browser: Any, portrait_file: Path, tmp_path: Path
) -> None:
    """Across the empty row adds one with both ends; an end, the middle; a double click accepts an event."""
    points = tmp_path / "points.csv"
    with program(portrait_file, "--out", tmp_path) as (address, _), opened(browser, address) as page:
        page.keyboard.press("n")
        page.wait_for_timeout(200)
        x, row, events = on_timeline(page, 10.2)

        def drag(start: float, end: float) -> None:
            page.mouse.move(x(start), row)
            page.mouse.down()
            page.mouse.move(x((start + end) / 2), row)
            page.mouse.move(x(end), row)
            page.mouse.up()
            page.wait_for_timeout(300)

        drag(1.0, 1.8)
        ((kind, point, onset, offset),) = marks(points, 1)
        assert (kind, int(onset), int(offset)) == (
            "macro",
            pytest.approx(25, abs=1),
            pytest.approx(45, abs=1),
        )
        drag(int(onset) / 25, 0.6)
        ((kind, after, moved, same),) = marks(points, 1)
        assert (after, int(moved), same) == (point, pytest.approx(15, abs=1), offset)
        drag(0.8, 1.2)  # its body
        ((kind, after, onset, offset),) = marks(points, 1)
        assert (int(after), int(onset)) == (
            pytest.approx(int(point) + 10, abs=1),
            pytest.approx(int(moved) + 10, abs=1),
        )
        drag(3.0, 3.3)
        assert marks(points, 2)[1][0] == "micro"
        page.locator("#list table").nth(1).locator("button.jump").first.click()
        page.wait_for_timeout(200)
        apex = page.evaluate("() => Number(document.body.dataset.frame)") / 25
        page.mouse.dblclick(x(apex), events)
        assert len(marks(points, 3)) == 3
        page.mouse.move(x(5), row)
        page.mouse.wheel(0, -400)
        page.wait_for_timeout(300)


def test_space_plays_after_a_click_on_a_button(browser: Any, tmp_path: Path) -> None:
    """It sets no second label; a button that has the focus of the keyboard is pressed by it all the same."""
    path = write_recording(tmp_path / "a.motion")
    with program(path) as (address, _), opened(browser, address) as page:
        page.locator("button[data-key=m]").click()
        page.locator("#forth").click()
        page.keyboard.press(" ")
        page.wait_for_selector('#play:has-text("⏸")')
        page.keyboard.press(" ")
        page.wait_for_selector('#play:has-text("▶")')
        assert marks(tmp_path / "points.csv", 1) == [("macro", "0", "", "")]
        page.locator("button[data-key=u]").focus()
        page.keyboard.press(" ")
        assert len(marks(tmp_path / "points.csv", 2)) == 2


def test_no_label_lies_behind_the_last_frame(browser: Any, tmp_path: Path) -> None:
    """Neither by shifting it, nor by its ends, nor by dragging it; extract would leave out the video."""
    path = playable(tmp_path)
    points = path.parent / "points.csv"
    with program(path) as (address, _), opened(browser, address) as page:
        page.keyboard.press("End")
        for _ in range(3):
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("m")
        page.keyboard.press(">")
        becomes(points, ("macro", "39", "", ""))
        for _ in range(12):
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("1")
        page.keyboard.press(">")
        becomes(points, ("macro", "39", "24", "39"))
        page.keyboard.press("<")
        becomes(points, ("macro", "29", "14", "29"))
        x, row, _ = on_timeline(page, 1.6)
        for start, ends in ((1, ("macro", "39", "24", "39")), (0.5, ("macro", "26", "12", "39"))):
            page.mouse.move(x(start), row)
            page.mouse.down()
            page.mouse.move(x(start + 0.3), row)
            page.mouse.move(x(2), row)
            page.mouse.up()
            becomes(points, ends)
            page.keyboard.press("Delete")


def test_the_page_says_that_the_program_has_ended(browser: Any, tmp_path: Path) -> None:
    """Nobody labels on for nothing."""
    path = write_recording(tmp_path / "a.motion")
    with program(path) as (address, running):
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("body[data-frame]")
        running.terminate()
        running.wait(20)
        page.keyboard.press("m")
        page.wait_for_selector("#alert:not([hidden])", timeout=10_000)
        assert "has ended" in page.locator("#alert").inner_text()
        page.close()


def test_a_blind_coder_sees_no_curve_and_no_events(browser: Any, tmp_path: Path) -> None:
    """Nor finds them with the mouse, until h asks for them."""
    path = write_recording(tmp_path / "a.motion")
    with program(path, "--coder", "ben", "--blind") as (address, _), opened(browser, address) as page:
        assert "hidden" in page.locator("#list").inner_text()
        page.keyboard.press("a")
        assert "hidden" in page.locator("#said").inner_text()
        x, _, events = on_timeline(page, 6)
        cursor = "() => document.getElementById('timeline').style.cursor"
        page.mouse.dblclick(x(2.8), events)  # within an expression
        page.mouse.move(x(3), events)
        assert page.evaluate(cursor) == "default"
        assert not (tmp_path / "points-ben.csv").exists()
        page.keyboard.press("h")
        assert "open" in page.locator("#list").inner_text()
        page.wait_for_timeout(100)
        page.mouse.move(x(2.8), events)
        assert page.evaluate(cursor) == "pointer"


def test_a_folder_is_gone_through_item_by_item(browser: Any, tmp_path: Path) -> None:
    """The list says what is done; N and P go on and back, the address remembers where one is."""
    for name in ("a.motion", "b.motion", "c.motion"):
        write_recording(tmp_path / name)
    with program(tmp_path) as (address, _), opened(browser, address) as page:
        page.keyboard.press("m")
        page.keyboard.press("d")
        page.wait_for_timeout(300)
        assert "1 of 3 seen" in page.locator("#items").inner_text()
        page.keyboard.press("Shift+N")
        page.wait_for_selector('#items button[aria-current=true]:has-text("b.motion")')
        page.keyboard.press("Shift+P")
        page.wait_for_selector('#items button[aria-current=true]:has-text("a.motion")')
        assert "Labels (1)" in page.locator("#list").inner_text()


def test_a_label_set_before_the_next_item_comes_is_of_the_one_on_show(browser: Any, tmp_path: Path) -> None:
    """However late its answer comes, the next item shows its own name, labels and frames."""
    for name in ("a.motion", "b.motion"):
        write_recording(tmp_path / name)
    with program(tmp_path) as (address, _), opened(browser, address) as page:
        asked: list[Any] = []

        def hold(route: Any) -> None:
            asked.append(route) if len(asked) < 2 else route.continue_()

        for path in ("items/1/look", "items/0/labels"):
            page.route(f"{address}{path}", hold)
        page.keyboard.press("Shift+N")
        page.keyboard.press("m")
        page.wait_for_timeout(300)
        for late in asked:
            late.continue_()
            page.wait_for_timeout(300)
        page.wait_for_selector('#items button[aria-current=true]:has-text("b.motion")')
        assert page.locator("#name").inner_text() == "b.motion"
        assert "Labels (0)" in page.locator("#list").inner_text()
        assert [row["video"] for row in rows(tmp_path / "points.csv", 1)] == ["a.motion"]


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_fits_the_screen(browser: Any, tmp_path: Path, size: tuple[int, int], scheme: str) -> None:
    """Nothing is cut off, nothing scrolls but the lists, and the focus can be seen."""
    path = write_recording(tmp_path / "a.motion")
    view = {"width": size[0], "height": size[1]}
    with program(path) as (address, _), opened(browser, address, viewport=view, color_scheme=scheme) as page:
        inside = """() => [...document.querySelectorAll("header, main, #stage, aside, button, #timeline")]
            .filter(({ hidden }) => !hidden).every((one) => {
                const { left, top, right, bottom } = one.getBoundingClientRect();
                return left >= 0 && top >= 0 && right <= innerWidth + 0.5 && bottom <= innerHeight + 0.5
                    && one.scrollWidth <= one.clientWidth + 1;
            })"""
        assert page.evaluate(inside)
        page.keyboard.press("Tab")
        style = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert style == "solid"


def test_a_long_recording_is_there_before_it_is_analysed(browser: Any, tmp_path: Path) -> None:
    """One labels while the analysis goes on, and nothing is lost (`benchmarks/review.py` has an hour of it)."""
    points = tmp_path / "points.csv"
    path = write_recording(tmp_path / "long.motion", ticks=6_000)
    with program(path) as (address, _):
        with opened(browser, address, analysed=False) as page:
            for number in range(12):
                page.keyboard.press("Shift+ArrowRight")
                page.wait_for_timeout(60)
                page.keyboard.press("m" if number % 3 else "u")
                page.wait_for_timeout(100)
            rows(points, 12)
            page.wait_for_selector("#progress[hidden]", state="attached", timeout=120_000)
        with opened(browser, address, analysed=False) as page:
            page.wait_for_selector("body[data-curve]")
            page.keyboard.press("End")
            page.keyboard.press("]")
            page.wait_for_selector("body[data-frame='5999']")


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_text_has_contrast_enough() -> None:
    """4.5 to 1 and more, in light and in dark (WCAG 2.2 AA)."""
    light, dark = re.findall(r":root \{(.*?)\}", (PAGE / "style.css").read_text(), re.DOTALL)
    for theme in (light, dark):
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", theme))
        pairs = [
            (ink, ground)
            for ink in ("ink", "faint", "macro", "micro", "unsure")
            for ground in ("panel", "ground", "shade")
        ]
        for ink, ground in [*pairs, ("bad", "bad-ground")]:
            high, low = sorted((_luminance(colours[ink]), _luminance(colours[ground])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)


def test_where_several_faces_are_in_view_a_label_belongs_to_one(browser: Any, tmp_path: Path) -> None:
    """The button and the key say whose a new label is; an event that is accepted brings its own face."""
    recording = write_recording(tmp_path / "two.motion", 1, 3)
    points = tmp_path / "points.csv"
    with program(recording, "--faces", "2") as (address, _), opened(browser, address) as page:
        assert page.locator("#whose").inner_text() == "Face 0 f"
        page.keyboard.press("m")
        page.keyboard.press("f")
        page.keyboard.press("m")
        assert [row["face"] for row in rows(points, 2)] == ["0", "1"]
        assert "macro, face 1" in page.locator("#list").inner_text()
        for _ in range(2):
            page.keyboard.press("z")
        page.wait_for_timeout(300)
        for _ in range(20):
            page.keyboard.press("n")
            page.keyboard.press("a")
            page.wait_for_timeout(50)
        page.wait_for_timeout(300)
        accepted = list(csv.DictReader(points.read_text().splitlines()))
        assert {row["face"] for row in accepted} == {"0", "1"}
