"""Which lens a result was lifted with; distortion is taken out of points and stays in the picture."""

import json
from pathlib import Path

import numpy as np
import pytest

import repose
from repose.errors import UserError
from repose.export.notes import lens_note
from repose.geometry.camera import Camera
from repose.lifting import LensOptions, Lifter, find_lens
from repose.models import build
from repose.pose import Pose2D
from repose.sample import load_sample_truth
from repose.skeleton import H36M_17

SIZE = (640, 480)
DISTORTION = (-0.3, 0.1, 0.004, -0.006, 0.02)


@pytest.fixture(scope="module")
def lifter() -> Lifter:
    return Lifter(build("frameformer"), name="fresh", flip=False)


def track(camera: Camera, frames: int = 40) -> Pose2D:
    """The sample's walk as a camera sees it."""
    points = camera.project(load_sample_truth().joints_m[:frames].astype(np.float64))
    return Pose2D(points, np.ones(points.shape[:2]), np.arange(frames), 30, SIZE, H36M_17)


def test_distortion_is_taken_out_before_lifting_and_stays_in_the_picture(
    lifter: Lifter, tmp_path: Path
) -> None:
    truth = load_sample_truth()
    intrinsics = (float(truth.K[0, 0]), float(truth.K[1, 1]), 310.0, 250.0)
    bent = Camera.from_intrinsics(intrinsics, DISTORTION)
    file = tmp_path / "lens.json"
    file.write_text(json.dumps({"image_size": SIZE, "K": bent.K.tolist(), "dist": DISTORTION}))
    plain = lifter.lift(track(Camera.from_intrinsics(intrinsics)), intrinsics_px=intrinsics)
    straightened = lifter.lift(track(bent), intrinsics_px=intrinsics, distortion=DISTORTION)
    np.testing.assert_allclose(straightened.joints_m, plain.joints_m, atol=2e-4)
    np.testing.assert_allclose(straightened.points_px, track(bent).points_px, atol=1e-3)
    (calibrated,) = repose.estimate(track(bent), lifter=lifter, calibration=file)
    assert calibrated.distortion == DISTORTION
    assert calibrated.record["lens"]["source"] == "calibration"
    repose.write_poses([calibrated], tmp_path / "result")
    (again,) = repose.read_poses(tmp_path / "result")
    assert again.distortion == DISTORTION
    truth_px = again.camera().project(truth.joints_m[:40].astype(np.float64))
    np.testing.assert_allclose(truth_px, again.points_px, atol=1e-3)


def test_the_lens_is_given_calibrated_named_by_the_video_or_assumed(tmp_path: Path) -> None:
    file = tmp_path / "lens.json"
    file.write_text(json.dumps({"image_size": [1280, 960], "K": [[900, 0, 660], [0, 900, 470], [0, 0, 1]]}))
    sources = {
        "given": find_lens(LensOptions(fov_deg=50), SIZE, focal_length_mm=26),
        "calibration": find_lens(LensOptions(calibration=file), SIZE, focal_length_mm=26),
        "video": find_lens(LensOptions(), SIZE, focal_length_mm=26),
        "assumed": find_lens(LensOptions(), SIZE),
    }
    assert {name: lens.source for name, lens in sources.items()} == {name: name for name in sources}
    assert [round(lens.fov_deg) for lens in sources.values()] == [50, 83, 80, 65]
    assert sources["calibration"].camera.intrinsics_px == (450, 450, 330, 235)
    assert sources["assumed"].scene == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fov_deg": 60, "intrinsics_px": (600, 600, 320, 240)}, "--intrinsics and --fov were given"),
        ({"intrinsics_px": (1200, 1200, 640, 480)}, "Divide all four numbers by 2"),
        ({"intrinsics_px": (300, 300, 160, 120)}, "Divide all four numbers by 0.5"),
        ({"fov_deg": 60, "distortion": (-3, 0.1, 0, 0, 0)}, "shows each direction in one place"),
        ({"calibration": Path("absent.yml")}, "no such file"),
        (
            {"calibration": Path("absent.yml"), "distortion": (0.1, 0, 0, 0, 0)},
            "--calibration and --distortion",
        ),
    ],
)
def test_a_lens_that_contradicts_the_picture_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        find_lens(LensOptions(**options), SIZE)  # type: ignore[arg-type]


def test_what_hangs_on_an_assumed_lens_is_said(lifter: Lifter) -> None:
    given = track(Camera.assumed(SIZE, 60))
    (pose,) = repose.estimate(given, lifter=lifter)
    lens = pose.record["lens"]
    assert (lens["source"], lens["fov_deg"]) == ("assumed", 65)
    far, near = lens["distance_m"]
    assert far / near == pytest.approx(np.tan(np.radians(40)) / np.tan(np.radians(25)), rel=0.1)
    note = lens_note(pose.record)
    assert note.startswith("The lens is assumed, a field of view of 65° across the diagonal. Between 50° and")
    assert f"from {far:.1f} to {near:.1f} m" in note
    (pose,) = repose.estimate(given, lifter=lifter, root=False, fit=False)
    assert pose.record["lens"]["distance_m"] is None
    assert "Between 50° and 80° joints relative to the pelvis change by" in lens_note(pose.record)
    (pose,) = repose.estimate(given, lifter=lifter, fov_deg=60)
    assert pose.record["lens"] == {"source": "given", "fov_deg": 60, "words": ""}
    assert lens_note(pose.record) == lens_note({}) == ""
    named = find_lens(LensOptions(), SIZE, focal_length_mm=26)
    assert "26 mm on 35 mm film: a field of view of 80°" in lens_note({"lens": named.record})
    with pytest.raises(UserError, match="lens: fov_deg"):
        lens_note({"lens": {"source": "given", "fov_deg": 500}})
