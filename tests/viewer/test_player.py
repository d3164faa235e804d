"""The viewer, seen with a browser."""

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import FRAMES, Tab, until

from repose.errors import UserError
from repose.pose import Pose3D
from repose.viewer import make_scene, view
from repose.viewer.player import Viewer

pytest.importorskip("viser")


@pytest.fixture
def viewer(result: Path, second: Path) -> Iterator[Viewer]:
    with closing(Viewer(make_scene(result, second), port=8180)) as viewer:
        yield viewer


def is_blue(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 2] > 120) & (picture[..., 0] < 60) & (picture[..., 2] - picture[..., 0] > 90)


def is_orange(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 0] > 150) & (picture[..., 2] < 60) & (picture[..., 1] < 150)


def test_the_scene_appears_and_the_timeline_moves_the_skeleton(viewer: Viewer, tab: Tab) -> None:
    page = tab.page
    page.set_viewport_size({"width": 1200, "height": 640})
    page.goto(viewer.url)
    page.get_by_role("button", name="Play").wait_for()
    pictures = []

    def there() -> bool:
        picture = tab.picture("canvas")
        pictures.append(picture)
        return is_blue(picture).sum() > 150 and is_orange(picture).sum() > 150

    until(there)
    tall = np.argwhere(is_orange(pictures[-1]) | is_blue(pictures[-1]))[:, 0]
    assert np.ptp(tall) > 0.3 * pictures[-1].shape[0], "the person fills the view"
    assert page.locator("img").count() >= 1, "the picture with the 2D keypoints"

    number = page.locator("input[inputmode=decimal]")
    number.fill("40")
    number.press("Enter")
    until(lambda: viewer.frame == 40)
    until(lambda: (np.abs(tab.picture("canvas") - pictures[-1]).max(axis=-1) > 60).mean() > 0.003)

    page.get_by_role("slider").press("Home")
    until(lambda: viewer.frame == 0)
    page.get_by_role("button", name="Play").click()
    until(lambda: viewer.frame > 0)
    page.get_by_role("button", name="Pause").click()
    assert tab.errors == []
    assert all(viewer.url.partition("//")[2] in url or url.startswith("data:") for url in tab.requests)


def test_ten_thousand_frames(walker: Pose3D) -> None:
    """A long clip is shown from one end to the other."""
    rows = np.arange(10_000) % FRAMES
    names = ("joints_m", "seen", "confidence", "points_px", "deviation_m")
    frames = np.arange(10_000)
    long = replace(
        walker, **{n: getattr(walker, n)[rows] for n in names}, frames=frames, times_s=frames / 30, record={}
    )
    with closing(Viewer(make_scene([long]), port=8190)) as viewer:
        for frame in range(0, 10_000, 100):
            viewer.seek(frame)
            assert viewer.frame == frame


def test_people_who_have_gone_are_not_kept(walker: Pose3D) -> None:
    poses = []
    for number in range(12):
        frames = np.arange(FRAMES) + number * 2 * FRAMES
        poses.append(replace(walker, frames=frames, times_s=frames / 30, track_id=number, record={}))
    with closing(Viewer(make_scene(poses), port=8195)) as viewer:
        for frame in (10, 2 * FRAMES + 10, 22 * FRAMES, 10):
            viewer.seek(frame)
            nodes = viewer._server.scene._handle_from_node_name
            assert {int(name[14:].split("/")[0]) for name in nodes if name.startswith("/world/person_")} == {
                frame // (2 * FRAMES)
            }


def test_frames_beyond_the_ends_are_the_ends(viewer: Viewer) -> None:
    viewer.seek(-5)
    assert viewer.frame == 0
    viewer.seek(10**6)
    assert viewer.frame == FRAMES - 1


def test_a_single_frame_and_nobody_s_place(walker: Pose3D) -> None:
    names = ("joints_m", "seen", "frames", "confidence", "points_px", "times_s", "deviation_m")
    one = replace(walker, **{name: getattr(walker, name)[:1] for name in names}, record={})
    nowhere = replace(
        one,
        joints_m=one.root_relative_m(),
        coordinates="camera-root-relative",
        points_px=None,
        image_size=None,
    )
    for pose in (one, nowhere):
        with closing(Viewer(make_scene([pose]), port=8200)) as viewer:
            assert viewer.frame == 0


def test_a_browser_that_does_not_open(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    with pytest.raises(UserError, match="no browser opened for http://localhost:") as closed:
        view(result, port=8210)
    assert "--no-browser" in closed.value.hint
    assert "--html" in closed.value.hint


def test_it_says_where_it_is_and_ends_when_interrupted(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: bool(opened.append(url)) or True)

    def interrupt(_: Viewer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Viewer, "wait", interrupt)
    said: list[str] = []
    view(result, port=8220, ready=lambda viewer: said.append(viewer.url))
    assert said == opened
    assert said[0].startswith("http://localhost:82")


def test_without_viser(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(UserError, match="viser, which is not installed") as missing:
        view(result)
    assert missing.value.hint == "pip install 'repose3d[view]'"
