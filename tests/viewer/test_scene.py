import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import FRAMES, cut

from repose.errors import UserError
from repose.export.results import write_poses
from repose.pose import Pose3D
from repose.sample import load_sample_truth, sample_video
from repose.video import Seeker, open_video, write_video
from repose.video.origin import find_video, note_video
from repose.viewer import make_scene, render_video, write_page


def test_people_stand_on_the_ground_with_z_up(walker: Pose3D) -> None:
    scene = make_scene([walker])
    (figure,) = scene.figures
    head, ankle = (walker.skeleton.index(joint) for joint in ("head_top", "left_ankle"))
    height = figure.joints_m[:, head, 2] - figure.joints_m[:, ankle, 2]
    assert (height > 1.2).all()
    assert np.median(figure.joints_m[..., 2].min(axis=1)) == pytest.approx(0.066, abs=0.01)  # ankles
    assert scene.frames.tolist() == list(range(FRAMES))
    assert scene.video == sample_video()
    assert "Up is not known: the camera is taken to be level." in scene.notes


def test_the_camera_sees_the_people_where_the_picture_has_them(walker: Pose3D) -> None:
    truth = load_sample_truth()
    for pose in (walker, replace(walker, T_cam_world=truth.T_cam_world)):
        scene = make_scene([pose])
        assert scene.camera is not None
        np.testing.assert_allclose(
            scene.camera.project(scene.figures[0].joints_m), walker.points_px, atol=0.05
        )


def test_a_known_world_is_kept_as_it_is(walker: Pose3D) -> None:
    truth = load_sample_truth()
    T_world_cam = np.linalg.inv(truth.T_cam_world)
    joints = walker.joints_m @ T_world_cam[:3, :3].T + T_world_cam[:3, 3]
    world = replace(walker, joints_m=joints, coordinates="world", T_cam_world=truth.T_cam_world)
    scene = make_scene([world])
    np.testing.assert_allclose(scene.figures[0].joints_m, joints, atol=1e-6)
    assert "Up is the result's own." in scene.notes


def test_without_places_people_stand_side_by_side(walker: Pose3D) -> None:
    relative = replace(walker, joints_m=walker.root_relative_m(), coordinates="camera-root-relative")
    scene = make_scene([relative, replace(relative, track_id=1)])
    one, other = (figure.joints_m[:, figure.root] for figure in scene.figures)
    assert scene.camera is None
    assert np.linalg.norm(other - one, axis=-1).min() > 1
    assert "Where people stand is not known: everybody is held at the pelvis." in scene.notes


def test_a_second_result_meets_its_partner(result: Path, second: Path, walker: Pose3D) -> None:
    elsewhere = replace(walker, track_id=3, joints_m=walker.joints_m + np.float32([2, 0, 0]))
    scene = make_scene([elsewhere, walker], second)
    compared = scene.figures[2]
    assert compared.compared
    assert compared.counterpart == 1, "the nearest, not the first"
    assert [compared.row(frame) for frame in (0, 9, 10, 49, 50)] == [-1, -1, 0, 39, -1]
    assert scene.joints_m(2, 5) is None
    together, apart = scene.joints_m(2, 20), scene.joints_m(2, 20, together=False)
    counterpart = scene.joints_m(1, 20)
    assert together is not None
    assert apart is not None
    assert counterpart is not None
    np.testing.assert_allclose(together[compared.root], counterpart[compared.root])
    assert np.linalg.norm(apart[compared.root] - counterpart[compared.root]) > 0.2


@pytest.mark.parametrize("relative", ["first", "second"])
def test_results_with_and_without_places_are_compared(relative: str, walker: Pose3D) -> None:
    nowhere = replace(walker, joints_m=walker.root_relative_m(), coordinates="camera-root-relative")
    pair = [nowhere, walker] if relative == "first" else [walker, nowhere]
    scene = make_scene([pair[0]], [pair[1]])
    one, other = (scene.joints_m(number, 30, together=False) for number in (0, 1))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_worlds_with_other_origins_are_compared_through_the_camera(walker: Pose3D) -> None:
    truth = load_sample_truth()
    T_world_cam = np.linalg.inv(truth.T_cam_world)
    joints = walker.joints_m @ T_world_cam[:3, :3].T + T_world_cam[:3, 3]
    world = replace(walker, joints_m=joints, coordinates="world", T_cam_world=truth.T_cam_world)
    scene = make_scene([walker], [world])
    one, other = (scene.joints_m(number, 30, together=False) for number in (0, 1))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_gaps_are_on_the_timeline_without_anybody(walker: Pose3D) -> None:
    late = cut(walker, slice(40, None), track_id=1)
    scene = make_scene([cut(walker, slice(5, 20)), late])
    assert scene.frames.tolist() == list(range(5, FRAMES))
    assert [len(figure.places) for figure in scene.figures] == [15, 20]
    assert scene.joints_m(0, 20) is None
    assert np.isfinite(scene.centre_m).all()
    np.testing.assert_allclose(scene.times_s, scene.frames / walker.fps, atol=1e-6)


def crowd(pose: Pose3D, people: int, frames: int) -> list[Pose3D]:
    """People who come one after the other, for so many frames each."""
    start = [number * frames for number in range(people)]
    parts = [cut(pose, slice(0, frames), track_id=number, record={}) for number in range(people)]
    moved = (np.arange(frames) + first for first in start)
    return [replace(part, frames=f, times_s=f / pose.fps) for part, f in zip(parts, moved, strict=True)]


def test_memory_is_in_proportion_to_what_is_there(walker: Pose3D, tmp_path: Path) -> None:
    """A table of people by frames would grow with the square of the number of people."""

    def most_bytes(people: int) -> int:
        poses = crowd(walker, people, frames=4)
        tracemalloc.start()
        try:
            scene = write_page(poses, tmp_path / f"{people}.html")
            for frame in (0, len(scene.frames) // 2, len(scene.frames) - 1):
                assert scene.present(frame, 0.1) != []
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    most_bytes(5)  # what is loaded once
    assert most_bytes(800) < 6 * most_bytes(200)


def test_who_is_around(walker: Pose3D) -> None:
    scene = make_scene(crowd(walker, 5, frames=30))
    assert scene.present(0, 1.5) == [0]
    assert scene.present(70, 0) == [2]
    assert scene.present(70, 0.5) == [1, 2]


def test_the_view_follows_and_holds_everybody(walker: Pose3D) -> None:
    scene = make_scene([walker])
    joints = scene.figures[0].joints_m
    away = np.linalg.norm(joints - scene.centre_m[:, None], axis=-1)
    assert (away < 1.25 * scene.radius_m).mean() > 0.99
    assert scene.radius_m < 1.5
    assert np.abs(np.diff(scene.centre_m, n=2, axis=0)).max() < 0.01


def test_the_video_is_looked_for_beside_the_result(walker: Pose3D, tmp_path: Path) -> None:
    moved = replace(walker, record={"video": "/nowhere/sample.mp4"})
    write_poses([moved], tmp_path / "out")
    scene = make_scene(tmp_path / "out")
    assert scene.video is None
    assert scene.no_video_reason is not None
    assert scene.no_video_reason.startswith("its video /nowhere/sample.mp4 is not beside it")
    assert f"No picture: {scene.no_video_reason}." in scene.notes
    for place in (tmp_path / "out", tmp_path):
        copy = place / "sample.mp4"
        copy.write_bytes(sample_video().read_bytes())
        assert make_scene(tmp_path / "out").video == copy
        copy.unlink()
    assert make_scene(tmp_path / "out", source=sample_video()).video == sample_video()


@pytest.mark.parametrize("signature", [None, "", "forged", "borrowed"])
def test_a_result_of_somebody_else_shows_no_file_of_this_machine(
    signature: str | None, walker: Pose3D, tmp_path: Path
) -> None:
    """Neither in the viewer nor in the film, the sheet or the page: all make the scene."""
    private = tmp_path / "private" / "secret.mp4"
    private.parent.mkdir()
    private.write_bytes(sample_video().read_bytes())
    size = private.stat().st_size
    record = {"video": str(private)}
    if signature == "forged":
        record["video_signature"] = f"{size} {'0' * 64}"
    elif signature == "borrowed":  # of another video, from a result that this user has given away
        record["video_signature"] = note_video(sample_video())["video_signature"]
    elif signature is not None:
        record["video_signature"] = signature
    folder = tmp_path / "inbox" / "result"
    write_poses([replace(walker, record=record)], folder)
    scene = make_scene(folder)
    assert scene.video is None
    assert scene.title == "result"
    (folder / "secret.mp4").symlink_to(private)
    assert make_scene(folder).video is None, "a link in an unpacked archive"
    write_page(folder, tmp_path / "page.html")
    assert '<script type="text/plain" id="picture"></script>' in (tmp_path / "page.html").read_text("utf-8")
    assert make_scene(folder, source=private).video == private


@pytest.mark.parametrize(
    "noted", ["", "/", "..", "/tmp/..", "a\0b", "x" * 300, "file:///etc/passwd", "\udcff", "C:\\films\\..\\"]
)
def test_a_name_that_is_no_file_is_no_video(noted: str, tmp_path: Path) -> None:
    video, why = find_video({"video": noted}, tmp_path)
    assert video is None
    assert why


def test_a_result_that_was_made_here_shows_its_video(walker: Pose3D, tmp_path: Path) -> None:
    video = tmp_path / "films" / "walk.mp4"
    video.parent.mkdir()
    video.write_bytes(sample_video().read_bytes())
    folder = tmp_path / "results" / "walk"
    write_poses([replace(walker, record=note_video(video))], folder)
    assert make_scene(folder).video == video
    video.write_bytes(sample_video().read_bytes() + b"\0")
    assert "is no longer its video" in str(make_scene(folder).no_video_reason)
    video.unlink()
    assert make_scene(folder).no_video_reason == f"its video is no longer at {video}"


def test_another_user_has_another_key(
    walker: Pose3D, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = note_video(sample_video())
    assert find_video(record, None)[0] == sample_video().resolve()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert find_video(record, None)[0] is None
    assert (tmp_path / "repose" / "video-key").stat().st_mode & 0o077 == 0
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert note_video(sample_video()) == {"video": str(sample_video().resolve())}, "no place for a key"
    assert find_video(record, None)[0] is None


def test_a_video_named_on_windows_is_found_beside_the_result(tmp_path: Path) -> None:
    (tmp_path / "walk.mp4").touch()
    assert find_video({"video": "C:\\films\\walk.mp4"}, tmp_path) == (tmp_path / "walk.mp4", None)


def test_the_picture_of_slow_motion_is_that_of_the_frame(walker: Pose3D, tmp_path: Path) -> None:
    record = {**walker.record, "capture_fps": 240.0, "slow_motion": 8.0}
    slow = replace(walker, fps=240.0, times_s=walker.frames / 240, record=record)
    scene = make_scene([slow])
    seeker = Seeker(open_video(sample_video()))
    for frame in (0, 17, 40):
        found, wanted = seeker.at(scene.video_times_s[frame]), seeker.at(walker.times_s[frame])
        np.testing.assert_array_equal(found, wanted)
    seeker.close()
    for picture, count in ((True, 288), (False, FRAMES)):
        render_video([slow], tmp_path / "film.mp4", height=120, picture=picture, force=True)
        film = open_video(tmp_path / "film.mp4").info
        assert film.fps == pytest.approx(30, abs=0.5), "slow as in the video"
        assert film.frames == count


def test_what_is_wrong_is_said(walker: Pose3D, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere.mp4: no such video"):
        make_scene([walker], source=tmp_path / "nowhere.mp4")
    write_video(tmp_path / "other.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3, fps=30)
    with pytest.raises(UserError, match="expected the 640 × 480 pixels of the result, found 64 × 48"):
        make_scene([walker], source=tmp_path / "other.mp4")
    with pytest.raises(UserError, match="at least one person with at least one frame, found nobody"):
        make_scene([])
    with pytest.raises(UserError, match="no such file"):
        make_scene(tmp_path / "no-result")


def test_keypoints_have_no_video(walker: Pose3D) -> None:
    scene = make_scene([replace(walker, record={})])
    assert (scene.video, scene.no_video_reason) == (None, None)
    assert "No picture: made from keypoints." in scene.notes


def test_joints_are_projected_where_there_are_no_keypoints(walker: Pose3D) -> None:
    scene = make_scene([replace(walker, points_px=None)])
    np.testing.assert_allclose(scene.figures[0].points_px, walker.points_px, atol=0.05)
