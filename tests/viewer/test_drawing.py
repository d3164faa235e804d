from dataclasses import replace

import numpy as np
import pytest
from browser import share_of

from repose import palette
from repose.geometry.camera import Camera
from repose.palette import SIDES, rgb
from repose.pose import Pose3D
from repose.viewer import make_scene
from repose.viewer.drawing import PAPER, blank, capsule, disc, draw_overlay, draw_space, write
from repose.viewer.scene import Scene, view_camera

LEFT, RIGHT, COMPARED = (rgb(colour) for colour in (*SIDES.values(), palette.COMPARED))
SIDE = 300


def view_of(scene: Scene, frame: int = 30) -> tuple[np.ndarray, Camera]:
    picture = blank(SIDE, SIDE)
    camera = view_camera(scene, (SIDE, SIDE), scene.centre_m[frame], scene.radius_m)
    draw_space(picture, scene, frame, camera)
    return picture.astype(int), camera


def at(picture: np.ndarray, place: np.ndarray) -> tuple[int, ...]:
    return tuple(picture[round(place[1]), round(place[0])].tolist())


def test_joints_are_where_the_camera_sees_them_in_the_colour_of_their_side(walker: Pose3D) -> None:
    scene = make_scene([replace(walker, seen=np.ones_like(walker.seen))])
    picture, camera = view_of(scene)
    joints = scene.joints_m(0, 30)
    assert joints is not None
    places = camera.project(joints)
    assert ((places > 0) & (places < SIDE)).all(), "the person fits the view"
    assert np.ptp(places[:, 1]) > 0.6 * SIDE, "and fills it"
    for joint, colour in (("left_wrist", LEFT), ("right_wrist", RIGHT)):
        assert at(picture, places[walker.skeleton.index(joint)]) == colour


def test_an_inferred_joint_is_a_ring_with_a_ball_of_its_deviation(walker: Pose3D) -> None:
    wrist = walker.skeleton.index("left_wrist")
    scene = make_scene([walker])
    assert not walker.seen[30, wrist]
    picture, camera = view_of(scene)
    joints = scene.joints_m(0, 30)
    assert joints is not None
    place = camera.project(joints)[wrist]
    assert at(picture, place) == PAPER
    certain, _ = view_of(make_scene([replace(walker, deviation_m=None)]))
    depth = camera.T_cam_world.apply(joints[wrist])[2]
    radius = 0.15 * camera.K[0, 0] / depth
    changed = np.argwhere((picture != certain).any(axis=-1))[:, ::-1]
    assert len(changed) > 0
    inferred = camera.project(joints)[~walker.seen[30]]
    nearest = np.linalg.norm(changed[:, None] - inferred, axis=-1).min(axis=1)
    assert radius - 4 < nearest.max() < radius + 4


def test_the_second_result_is_grey(walker: Pose3D) -> None:
    raised = replace(walker, joints_m=walker.joints_m * np.float32([1.3, 1, 1]))
    alone, _ = view_of(make_scene([walker]))
    both, _ = view_of(make_scene([walker], [raised]))
    assert share_of(both, COMPARED, 12) > share_of(alone, COMPARED, 12) + 0.002


def test_several_people_have_names_and_colours_of_their_own(walker: Pose3D) -> None:
    other = replace(walker, track_id=4, joints_m=walker.joints_m + np.float32([1, 0, 0.5]))
    scene = make_scene([walker, other])
    assert [figure.name for figure in scene.figures] == ["person 0", "person 4"]
    picture, _ = view_of(scene)
    assert share_of(picture, rgb(scene.figures[1].colour), 20) > 0.001


def test_the_overlay_lies_on_the_keypoints(walker: Pose3D) -> None:
    scene = make_scene([replace(walker, seen=np.ones_like(walker.seen))])
    picture = blank(320, 240, (0, 0, 0))
    draw_overlay(picture, scene, 30, 0.5)
    assert walker.points_px is not None
    for joint, colour in (("left_wrist", LEFT), ("right_wrist", RIGHT)):
        place = walker.points_px[30, walker.skeleton.index(joint)] / 2
        assert np.abs(np.subtract(at(picture.astype(int), place), colour)).max() < 60


@pytest.mark.parametrize("where", [(-500.0, 30.0), (30.0, 4e6), (99.0, 59.0)])
def test_what_is_outside_the_picture_does_no_harm(where: tuple[float, float]) -> None:
    picture = blank(100, 60)
    place = np.array(where)
    disc(picture, place, 5.0, LEFT)
    capsule(picture, np.array([place, [50.0, 30.0]]), np.array([2.0, 2.0]), RIGHT)
    write(picture, "outside", round(min(where[0], 1e4)), 55, 14)
    write(picture, "above", 3, -9, 14)
    assert picture.shape == (60, 100, 3)
