"""The viewer of people who are being filmed, seen with a browser."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from browser import Tab, cut, until

from repose.pose import Pose3D
from repose.viewer.live_viewer import LiveViewer

viser = pytest.importorskip("viser")


@pytest.fixture
def viewer() -> Iterator[LiveViewer]:
    with closing(LiveViewer("camera 0", (640, 480), port=8240)) as viewer:
        yield viewer


def picture(height: int = 480) -> np.ndarray:
    return np.full((height, height * 4 // 3, 3), (90, 30, 140), np.uint8)


def show(viewer: LiveViewer, walker: Pose3D, row: int, *others: Pose3D, words: str = "") -> None:
    pose = cut(walker, slice(row, row + 1), record={})
    viewer.show(int(pose.frames[0]), picture, [pose, *others], [words or f"frame {row}"])


def test_the_figure_and_its_picture_move_as_frames_come(viewer: LiveViewer, walker: Pose3D, tab: Tab) -> None:
    page = tab.page
    page.goto(viewer.url)
    page.get_by_text("Waiting for somebody.").wait_for()
    until(lambda: viewer._server.get_clients())
    for row in range(5):
        show(viewer, walker, row)
    page.get_by_text("frame 4").wait_for()
    page.get_by_role("button", name="Front").wait_for()

    def coloured() -> Any:
        seen = tab.picture("canvas")
        return ((seen[..., 2] > 120) & (seen[..., 0] < 60)).sum() > 100

    until(coloured)
    before = tab.picture("canvas")
    for row in range(5, 45):
        show(viewer, walker, row)
    page.get_by_text("frame 44").wait_for()
    until(lambda: (np.abs(tab.picture("canvas") - before).max(axis=-1) > 60).mean() > 0.003)
    assert page.locator("img").count() >= 1
    until(lambda: (np.abs(tab.picture("img") - (90, 30, 140)).max(axis=-1) < 25).mean() > 0.5)
    assert tab.errors == []


def test_nothing_is_done_while_nobody_looks(viewer: LiveViewer, walker: Pose3D) -> None:
    asked: list[int] = []
    viewer.show(0, lambda height: asked.append(height) or picture(height), [cut(walker, slice(0, 1))], [""])
    assert asked == []
    assert viewer._scene is None


@pytest.fixture
def watched(viewer: LiveViewer, monkeypatch: pytest.MonkeyPatch) -> LiveViewer:
    monkeypatch.setattr(viewer._server, "get_clients", lambda: {0: None})
    monkeypatch.setattr(viewer, "_move_to", lambda *_: None)
    return viewer


def test_people_keep_their_colour_and_go_when_nothing_comes_of_them(
    watched: LiveViewer, walker: Pose3D, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("repose.viewer.live_viewer.time.monotonic", lambda: now[0])
    other = cut(walker, slice(0, 1), track_id=4, record={})
    show(watched, walker, 0, other)
    assert watched._people.keys() == {0, 4}
    assert watched._scene is not None
    colours = {figure.pose.track_id: figure.colour for figure in watched._scene.figures}
    now[0] += 2
    show(watched, cut(walker, slice(0, 60), track_id=4), 1)
    assert watched._people.keys() == {4}
    assert watched._scene.figures[0].colour == colours[4] != colours[0]
    now[0] += 2
    watched.show(90, picture, [], ["nobody"])
    assert watched._people == {}
    show(watched, cut(walker, slice(0, 60), track_id=5), 40)
    assert watched._people.keys() == {5}


def test_hours_take_no_more_memory_than_minutes(watched: LiveViewer, walker: Pose3D) -> None:
    for number in range(200):
        pose = cut(walker, slice(number % 60, number % 60 + 1), record={})
        frames, times_s = np.array([number]), np.array([number / 30])
        watched.show(number, picture, [cut(pose, slice(None), frames=frames, times_s=times_s)], [""])
    assert 50 < sum(map(len, watched._pieces.values())) < 65, "two seconds"


def test_without_a_place_people_stand_before_the_camera(watched: LiveViewer, walker: Pose3D) -> None:
    placeless = cut(walker, slice(0, 60), coordinates="camera-root-relative", intrinsics_px=None)
    placeless = cut(placeless, slice(0, 60), joints_m=walker.root_relative_m()[:60])
    show(watched, placeless, 0)
    assert watched._scene is not None
    assert watched._scene.figures[0].joints_m[0, 0, 1] == pytest.approx(3.0)
    show(watched, walker, 1)
    show(watched, placeless, 2)
    there = watched._scene.figures[0].joints_m[:, 0]
    assert np.linalg.norm(there[2] - there[1]) < 1e-3, "where they were last"


def test_foreign_pages_cannot_read_it(viewer: LiveViewer) -> None:
    client = pytest.importorskip("websockets.sync.client")
    from websockets.exceptions import InvalidStatus

    address = viewer.url.replace("http", "ws").replace("localhost", "127.0.0.1")
    protocol = [f"viser-v{viser.__version__}"]
    with client.connect(address, subprotocols=protocol) as own:
        assert own.recv(timeout=60)
    with pytest.raises(InvalidStatus, match="403"):
        client.connect(address, subprotocols=protocol, origin="https://example.com")
