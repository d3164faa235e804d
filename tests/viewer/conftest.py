"""A result to look at, and a page of the browser to look with."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import FRAMES, Tab, cut

from repose.export.results import write_poses
from repose.pose import Pose3D
from repose.sample import load_sample_truth, sample_video
from repose.video.origin import note_video


@pytest.fixture(scope="session")
def walker(state: Path) -> Pose3D:
    """The first two seconds of the sample as if a model that knows its error had lifted them."""
    truth = load_sample_truth().pose()
    # Packed for the page, the root's 0 comes out below 0 with these numbers.
    deviation = np.where(truth.seen, 0.03, 0.1497).astype(np.float32)
    deviation[:, truth.skeleton.index("pelvis")] = 0
    seen = truth.seen.copy()
    seen[20:40, truth.skeleton.indices("left_wrist", "pelvis")] = False
    record = {**note_video(sample_video()), "assumed": []}
    whole = replace(truth, deviation_m=deviation, seen=seen, record=record, T_cam_world=None, model="default")
    return cut(whole, slice(0, FRAMES))


@pytest.fixture(scope="session")
def result(walker: Pose3D, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "walk"
    write_poses([walker], folder)
    return folder


@pytest.fixture(scope="session")
def second(walker: Pose3D, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another result of the same video: a little off, nearer, and with fewer frames."""
    folder = tmp_path_factory.mktemp("results") / "second"
    other = cut(walker, slice(10, 50), deviation_m=None, track_id=7)
    moved = other.joints_m * 0.9
    write_poses([replace(other, joints_m=moved)], folder)
    return folder


@pytest.fixture
def tab(browser: Any) -> Iterator[Tab]:
    page = browser.new_page(viewport={"width": 1000, "height": 640})
    page.set_default_timeout(120_000)
    yield Tab(page)
    page.close()
