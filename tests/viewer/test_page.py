"""The page: what is in the file, and what a browser makes of it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import FRAMES, Tab, share_of, until

from repose.errors import UserError
from repose.palette import SIDES, rgb
from repose.pose import Pose3D
from repose.viewer import make_scene, write_page

LEFT, RIGHT = (rgb(colour) for colour in SIDES.values())


@pytest.fixture(scope="module")
def page(result: Path, second: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "walk.html"
    write_page(result, path, compare=second)
    return path


def open_page(tab: Tab, path: Path) -> Any:
    tab.page.goto(path.as_uri())
    until(lambda: tab.page.evaluate("document.querySelector('#now').textContent.length > 0"))
    return tab.page


def shown(page: Any) -> int:
    return int(re.findall(r"\d+", page.locator("#now").text_content())[0])


def test_a_minute_of_one_person_is_small(walker: Pose3D, tmp_path: Path) -> None:
    """At 60 frames a second, every joint with the noise of a detector."""
    rng = np.random.default_rng(0)
    rows = np.arange(3600) % FRAMES
    names = ("joints_m", "seen", "confidence", "points_px", "deviation_m")
    minute = {name: getattr(walker, name)[rows] for name in names}
    minute["joints_m"] = minute["joints_m"] + rng.normal(0, 0.004, (3600, 17, 3))
    minute["points_px"] = minute["points_px"] + rng.normal(0, 1, (3600, 17, 2))
    frames = np.arange(3600)
    long = replace(walker, **minute, frames=frames, times_s=frames / 60, fps=60.0, record={})
    write_page([long], tmp_path / "minute.html")
    assert (tmp_path / "minute.html").stat().st_size < 1_000_000


def test_the_file_asks_for_nothing_from_outside(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    for asked in ("http:", "https:", '<link rel="stylesheet', "<script src", "import("):
        assert asked not in text
    assert "{{" not in text


def test_names_cannot_break_the_page(walker: Pose3D, tmp_path: Path, tab: Tab) -> None:
    hostile = '</script><script>document.title = "broken"</script> {{motion}} é'
    write_page([replace(walker, record={}, scale=hostile)], tmp_path / "page.html")
    page = open_page(tab, tmp_path / "page.html")
    assert page.title() == "RePOSE: RePOSE"
    assert hostile in page.locator("#notes").text_content()
    assert tab.errors == []


def test_the_scene_appears_and_the_timeline_moves_the_skeleton(page: Path, tab: Tab) -> None:
    opened = open_page(tab, page)
    assert shown(opened) == 0
    first = tab.picture("#space")
    for colour in (LEFT, RIGHT):
        assert share_of(first, colour, 40) > 0.0015
    tall = np.argwhere(np.abs(first - LEFT).max(axis=-1) < 40)[:, 0]
    assert np.ptp(tall) > 0.3 * first.shape[0], "the person fills the view"
    slider = opened.locator("#slider")
    slider.fill("30")
    assert shown(opened) == 30
    opened.wait_for_timeout(300)
    later = tab.picture("#space")
    assert (np.abs(later - first).max(axis=-1) > 40).mean() > 0.003
    slider.press("ArrowRight")
    assert shown(opened) == 31
    slider.press("End")
    assert shown(opened) == FRAMES - 1
    opened.locator("#play").focus()
    opened.keyboard.press("Home")
    assert shown(opened) == 0
    opened.locator("#play").click()
    until(lambda: shown(opened) > 0)
    assert tab.errors == []
    assert all(url.startswith(("file:", "blob:", "data:")) for url in tab.requests)


def test_the_picture_is_that_of_the_frame(page: Path, tab: Tab) -> None:
    opened = open_page(tab, page)
    until(lambda: opened.evaluate("state.film"))
    grey = share_of(tab.picture("#flat"), (52, 58, 64), 6)
    assert grey < 0.05, "a picture where there was an empty frame"
    opened.locator("#slider").fill("45")
    until(lambda: opened.evaluate("!film.seeking"))
    assert opened.evaluate("Math.floor(film.currentTime * scene.film.rate)") == 45
    opened.get_by_label("Picture", exact=True).click()
    opened.wait_for_timeout(300)
    assert share_of(tab.picture("#flat"), (52, 58, 64), 6) > 0.5
    assert tab.errors == []


def test_joints_are_those_of_the_result(page: Path, tab: Tab, result: Path, second: Path) -> None:
    opened = open_page(tab, page)
    scene = make_scene(result, second)
    for frame in (0, 12, 49, FRAMES - 1):
        opened.locator("#slider").fill(str(frame))
        for number in range(2):
            found = opened.evaluate(f"jointsNow(scene.figures[{number}])")
            wanted = scene.joints_m(number, frame)
            if wanted is None:
                assert found is None
            else:
                np.testing.assert_allclose(found, wanted, atol=0.002)
    figure = scene.figures[0]
    np.testing.assert_allclose(
        opened.evaluate("[...scene.figures[0].points]"), np.ravel(figure.points_px), atol=0.13
    )
    np.testing.assert_allclose(
        opened.evaluate("[...scene.figures[0].deviation]"), np.ravel(figure.pose.deviation_m), atol=6e-4
    )
    assert opened.evaluate("[...scene.figures[0].seen]") == figure.pose.seen.ravel().astype(int).tolist()


def test_switches_views_and_the_mouse_change_what_is_seen(page: Path, tab: Tab) -> None:
    opened = open_page(tab, page)
    opened.locator("#slider").fill("30")
    before = tab.picture("#space canvas")
    names = ["Deviation", "Trail", "Ground", "Compared", "Compared at the same root"]
    for name in names:
        box = opened.get_by_label(name, exact=True)
        box.click()
        opened.wait_for_timeout(200)
        assert (tab.picture("#space canvas") != before).any(), name
        box.click()
    opened.wait_for_timeout(200)
    assert (tab.picture("#space canvas") == before).all()
    for name in ("Front", "Side", "Top", "Camera"):
        opened.get_by_role("button", name=name, exact=True).click()
        opened.wait_for_timeout(200)
        assert (tab.picture("#space canvas") != before).mean() > 0.01, name
    opened.get_by_role("button", name="Angle").click()
    box = opened.locator("#space canvas").bounding_box()
    opened.mouse.move(box["x"] + 200, box["y"] + 200)
    for act in (lambda: opened.mouse.wheel(0, 300), lambda: drag(opened), lambda: drag(opened, "Shift")):
        latest = tab.picture("#space canvas")
        act()
        opened.wait_for_timeout(200)
        assert (tab.picture("#space canvas") != latest).mean() > 0.005
    assert tab.errors == []


def drag(page: Any, key: str | None = None) -> None:
    if key:
        page.keyboard.down(key)
    page.mouse.down()
    page.mouse.move(800, 330, steps=3)
    page.mouse.up()
    if key:
        page.keyboard.up(key)


def test_the_camera_shows_the_picture_too(page: Path, tab: Tab) -> None:
    opened = open_page(tab, page)
    until(lambda: opened.evaluate("state.film"))
    opened.get_by_role("button", name="Camera", exact=True).click()
    opened.wait_for_timeout(300)
    brown = share_of(tab.picture("#space canvas"), (140, 105, 80), 40)
    opened.get_by_label("Camera", exact=True).click()
    opened.wait_for_timeout(300)
    assert brown > share_of(tab.picture("#space canvas"), (140, 105, 80), 40) + 0.001


def test_a_page_without_picture_and_place(walker: Pose3D, tmp_path: Path, tab: Tab) -> None:
    relative = replace(
        walker, joints_m=walker.root_relative_m(), coordinates="camera-root-relative", record={}
    )
    write_page(
        [replace(relative, points_px=None), replace(relative, track_id=2, points_px=None)],
        tmp_path / "a.html",
    )
    page = open_page(tab, tmp_path / "a.html")
    assert not page.locator("#flat").is_visible()
    assert page.get_by_label("Picture", exact=True).count() == 0
    assert page.locator("#summary").text_content() == f"2 people, {FRAMES} frames, 2.0 s"
    page.locator("#play").click()
    until(lambda: page.evaluate("!document.querySelector('#now').textContent.startsWith('frame 0 ')"))
    until(
        lambda: page.evaluate(f"document.querySelector('#now').textContent.startsWith('frame {FRAMES - 1}')")
    )
    until(lambda: page.evaluate("!state.playing"))
    assert tab.errors == []


def test_a_small_screen(page: Path, tab: Tab) -> None:
    tab.page.set_viewport_size({"width": 390, "height": 800})
    opened = open_page(tab, page)
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    assert opened.locator("#space").bounding_box()["height"] > 200
    for name in ("#play", "#slider", "#speed"):
        assert opened.locator(name).bounding_box()["y"] < 800


def test_bad_places(result: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(UserError, match=r"mine.html: is there already"):
        write_page(result, tmp_path / "mine.html")
    with pytest.raises(UserError, match="expected the name of a file to write, found a folder"):
        write_page(result, tmp_path)
    write_page(result, tmp_path / "mine.html", picture=False, force=True)
    assert (tmp_path / "mine.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.html"]
