"""Calibration files of four programs say the same lens, and are refused where they contradict the picture."""

import json
from pathlib import Path

import numpy as np
import pytest

from repose.errors import UserError
from repose.geometry.calibration import Calibration, check_picture, read_calibration
from repose.geometry.camera import Camera

INTRINSICS = (1100.0, 1050.0, 640.5, 361.0)
DISTORTION = (-0.25, 0.12, 0.004, -0.003, -0.02)
OPENCV = """%YAML:1.0
---
image_width: 1280
image_height: 720
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 1100., 0., 6.405e+02, 0., 1050., 361., 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 1
   cols: 5
   dt: d
   data: [ -0.25, 0.12, 0.0040000000000000001, -0.0030000000000000001,
       -0.02 ]
avg_reprojection_error: 0.29999999999999999
"""
ROS = """image_width: 1280
image_height: 720
camera_name: head
camera_matrix:
  rows: 3
  cols: 3
  data: [1100, 0, 640.5, 0, 1050, 361, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.25, 0.12, 0.004, -0.003, -0.02]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
"""
DUMPED = """camera_matrix:
- - 1100.0
  - 0.0
  - 640.5
- - 0.0
  - 1050.0
  - 361.0
- - 0.0
  - 0.0
  - 1.0
dist_coeff:
- - -0.25
  - 0.12
  - 0.004
  - -0.003
  - -0.02
"""
POSE2SIM = """[cam_01]
name = "int_cam1_img"
size = [ 1280.0, 720.0]
matrix = [ [ 1100.0, 0.0, 640.5], [ 0.0, 1050.0, 361.0], [ 0.0, 0.0, 1.0]]
distortions = [ -0.25, 0.12, 0.004, -0.003]
rotation = [ 1.6, 1.0, -0.4]
translation = [ 0.3, 0.9, 2.9]
fisheye = false

[cam_02]
name = "int_cam2_img"
size = [ 1280.0, 720.0]
matrix = [ [ 900.0, 0.0, 650.0], [ 0.0, 900.0, 350.0], [ 0.0, 0.0, 1.0]]
distortions = [ 0.0, 0.0, 0.0, 0.0]
fisheye = true

[metadata]
adjusted = false
"""
COLMAP = """# Camera list with one line of data per camera:
1 OPENCV 1280 720 1100 1050 641 361.5 -0.25 0.12 0.004 -0.003
2 SIMPLE_RADIAL 1280 720 1000 640 360 -0.1
3 OPENCV_FISHEYE 1280 720 1100 1050 640 360 0.1 0 0 0
4 FULL_OPENCV 1280 720 1100 1050 641 361.5 -0.25 0.12 0.004 -0.003 -0.02 0 0 0
"""
MATRIX = [[1100, 0, 640.5], [0, 1050, 361], [0, 0, 1]]
JSON = json.dumps({"image_size": [1280, 720], "K": MATRIX, "dist": [DISTORTION]})
OPENCV_JSON = json.dumps(
    {
        "image_width": 1280,
        "image_height": 720,
        "cameraMatrix": {
            "type_id": "opencv-matrix",
            "rows": 3,
            "cols": 3,
            "data": [1100, 0, 640.5, 0, 1050, 361, 0, 0, 1],
        },
        "distCoeffs": {"type_id": "opencv-matrix", "rows": 1, "cols": 5, "data": DISTORTION},
    }
)


def read(folder: Path, text: str, *which: str | None) -> Calibration:
    path = folder / "calibration"
    path.write_text(text, encoding="utf-8")
    return read_calibration(path, *which)


@pytest.mark.parametrize(
    ("text", "camera", "k3", "size"),
    [
        (OPENCV, None, -0.02, (1280, 720)),
        (ROS, None, -0.02, (1280, 720)),
        (DUMPED, None, -0.02, None),
        (JSON, None, -0.02, (1280, 720)),
        (OPENCV_JSON, None, -0.02, (1280, 720)),
        (POSE2SIM, "cam_01", 0, (1280, 720)),
        (COLMAP, "1", 0, (1280, 720)),
        (COLMAP, "4", -0.02, (1280, 720)),
    ],
    ids=["opencv", "ros", "yaml", "json", "opencv-json", "pose2sim", "colmap", "colmap-full"],
)
def test_programs_say_one_lens(
    tmp_path: Path, text: str, camera: str | None, k3: float, size: tuple[int, int] | None
) -> None:
    found = read(tmp_path, text, camera)
    assert found.intrinsics_px == pytest.approx(INTRINSICS)
    assert found.distortion == pytest.approx((*DISTORTION[:4], k3))
    assert found.image_size == size


def test_a_camera_is_found_by_either_name_and_by_the_video(tmp_path: Path) -> None:
    by_name = read(tmp_path, POSE2SIM, "int_cam1_img")
    assert by_name == read(tmp_path, POSE2SIM, None, "cam_01") == read(tmp_path, POSE2SIM, "cam_01")
    assert read(tmp_path, COLMAP, "2").distortion == (-0.1, 0, 0, 0, 0)
    with pytest.raises(UserError, match="expected the name of one of its cameras, found cam_01, cam_02"):
        read(tmp_path, POSE2SIM, None, "walk")
    with pytest.raises(UserError, match="expected a camera '7', found 1, 2, 3, 4"):
        read(tmp_path, COLMAP, "7")


@pytest.mark.parametrize(
    ("text", "camera", "words"),
    [
        (POSE2SIM, "cam_02", "five coefficients of distortion, k1 k2 p1 p2 k3, found a fisheye lens"),
        (COLMAP, "3", "model: expected .*OPENCV or FULL_OPENCV, found OPENCV_FISHEYE"),
        (OPENCV.replace("-0.02 ]", "-0.02, 0.3 ]"), None, "found 6 coefficients"),
        (OPENCV.replace("1100.", "nan"), None, "camera matrix: expected finite numbers"),
        (OPENCV.replace("1100.", "0"), None, "positive fx and fy"),
        (OPENCV.replace(", 0., 0., 1. ]", " ]"), None, "expected fx 0 cx, 0 fy cy, 0 0 1"),
        (OPENCV.replace("1280", "-4"), None, "size: expected the picture's width and height"),
        (OPENCV.replace("0.12", "0.1.2"), None, "cannot be read"),
        ("%YAML:1.0\n---\nrectified: 3\n", None, "It needs a camera_matrix"),
        ("", None, "found an empty file"),
        ('{"K": 1', None, "cannot be read"),
    ],
)
def test_what_is_no_pinhole_lens_is_refused(
    tmp_path: Path, text: str, camera: str | None, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        read(tmp_path, text, camera)


def test_another_resolution_is_scaled_and_another_shape_refused(tmp_path: Path) -> None:
    found = read(tmp_path, OPENCV)
    half = found.scaled((640, 360))
    assert half.intrinsics_px == pytest.approx((550, 525, 320.25, 180.5))
    assert half.distortion == found.distortion
    with pytest.raises(UserError, match="of its shape, found one of 1280 × 720\nOne is upright"):
        found.scaled((720, 1280))
    with pytest.raises(UserError, match="640 × 480, or of its shape, found one of 1280 × 720\nCalibrate"):
        found.scaled((640, 480))


def test_intrinsics_of_a_larger_picture_are_noticed() -> None:
    check_picture(INTRINSICS, (1280, 720))
    check_picture((1100, 1100, 900, 200), (1280, 720))  # a part of a picture
    doubled = (2200.0, 2100.0, 1281.0, 722.0)
    with pytest.raises(UserError, match="Divide all four numbers by 2"):
        check_picture(doubled, (1280, 720))
    with pytest.raises(UserError, match=r"Divide all four numbers by 0\.5"):
        check_picture((550, 525, 320, 180), (1280, 720))


def test_a_distortion_that_folds_the_picture_is_refused() -> None:
    Camera.from_intrinsics(INTRINSICS, DISTORTION).check_distortion((1280, 720))
    with pytest.raises(UserError, match="distortion: expected one that shows each direction in one place"):
        Camera.from_intrinsics(INTRINSICS, (-2.5, 0.12, 0.004, -0.003, 0)).check_distortion((1280, 720))
    with pytest.raises(UserError, match="distortion: expected k1 k2 p1 p2 k3"):
        Camera.from_intrinsics(INTRINSICS, (0.1, 0.2))


def test_points_are_undistorted_as_opencv_does() -> None:
    cv2 = pytest.importorskip("cv2")
    camera = Camera.from_intrinsics(INTRINSICS, DISTORTION)
    rays = np.random.default_rng(0).uniform(-0.5, 0.5, (200, 3))
    rays[:, 2] = 1
    seen, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), camera.K, np.array(DISTORTION))
    np.testing.assert_allclose(camera.project(rays), seen[:, 0], atol=1e-6)
    np.testing.assert_allclose(camera.rays(seen[:, 0]), rays[:, :2], atol=1e-9)
    straight = camera.undistort(seen[:, 0])
    np.testing.assert_allclose(Camera.from_intrinsics(INTRINSICS).project(rays), straight, atol=1e-6)
    far = camera.rays(np.array([[1e7, -1e7], [4000.0, 300.0]]))
    assert np.isfinite(far).all()
