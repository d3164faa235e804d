"""Keypoint files of every known format, from their published shapes and from real recordings."""

import json
import os
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repose.errors import UserError
from repose.keypoints.detections import KNOWN_LAYOUTS, LAYOUT_OF_COUNT, assume_size, recognise_layout
from repose.keypoints.reader import begins_keypoints, read_keypoints, read_unless_video
from repose.skeleton import SKELETONS

RNG = np.random.default_rng(5)


def person(joints: int, seed: int = 0, x: float = 300) -> np.ndarray:
    """Keypoints (joints, 3) of a body around x, all of them sure, none like another."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([x - 40, 100], [x + 40, 300], (joints, 2)).round(3)
    return np.column_stack([points, rng.uniform(0.4, 0.9, joints).round(3)])


def row(image: Any, keypoints: np.ndarray, **more: Any) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": 1,
        "keypoints": keypoints.ravel().tolist(),
        "score": 2.0,
        **more,
    }


def save(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def check(pose: Any, keypoints: np.ndarray, skeleton: str, row: int = 0) -> None:
    assert pose.skeleton is SKELETONS[skeleton]
    np.testing.assert_allclose(pose.points_px[row], keypoints[:, :2], atol=1e-4)
    np.testing.assert_allclose(pose.confidence[row], keypoints[:, 2], atol=1e-6)


# AlphaPose


def test_alphapose_fixture_comes_back_exactly(parity: Path) -> None:
    first, second = read_keypoints(parity / "alphapose" / "alphapose-results.json")
    expected = np.load(parity / "alphapose" / "expected.npz")
    assert (first.track_id, len(first), second.track_id, len(second)) == (1, 301, 2, 201)
    assert first.frames.tolist() == list(range(301))
    assert first.skeleton is SKELETONS["halpe-26"]
    np.testing.assert_allclose(first.points_px, expected["halpe26_px"][..., :2], atol=1e-4)
    np.testing.assert_allclose(first.confidence, expected["halpe26_px"][..., 2], atol=1e-6)
    h36m = first.to("h36m-17")
    np.testing.assert_allclose(h36m.points_px, expected["h36m17_px"][..., :2], atol=1e-4)
    np.testing.assert_allclose(h36m.confidence, expected["h36m17_px"][..., 2], atol=1e-6)


def test_alphapose_fixture_says_what_it_does_not_know(parity: Path) -> None:
    file = parity / "alphapose" / "alphapose-results.json"
    for pose in read_keypoints(file):
        assert pose.assumed == ("fps", "image_size")
        assert (pose.fps, pose.image_size) == (30, (640, 480))
        assert pose.source == "alphapose-results.json: AlphaPose results"
    for pose in read_keypoints(file, fps=50, image_size=(854, 480)):
        assert (pose.fps, pose.image_size, pose.assumed) == (50, (854, 480), ())
    assert read_keypoints(file, fps=50)[0].assumed == ("image_size",)


@pytest.mark.parametrize(
    ("joints", "kept", "skeleton"),
    [(17, 17, "coco-17"), (26, 26, "halpe-26"), (136, 26, "halpe-26"), (133, 23, "coco-17+feet")],
)
def test_alphapose_joint_counts(tmp_path: Path, joints: int, kept: int, skeleton: str) -> None:
    body = person(joints)
    (pose,) = read_keypoints(save(tmp_path / "a.json", [row("0.jpg", body, idx=1)]))
    check(pose, body[:kept], skeleton)
    assert pose.source.endswith(f"; the {kept} body joints of {joints}") == (joints > kept)


@pytest.mark.parametrize(
    "names",
    [
        ["3.jpg", "10.jpg", "12.jpg"],
        ["3.png", "10.png", "12.png"],
        [3, 10, 12],
        [3.0, 10.0, 12.0],
        ["3", "10", "12"],
        ["cam2_frame_000003.jpg", "cam2_frame_000010.jpg", "cam2_frame_000012.jpg"],
        ["run/2024/img-0003.jpeg", "run/2024/img-0010.jpeg", "run/2024/img-0012.jpeg"],
    ],
)
def test_alphapose_frames_come_from_image_names_in_any_order(tmp_path: Path, names: list[Any]) -> None:
    bodies = [person(17, x=300 + 4 * step) for step in range(3)]
    rows = [row(name, body, box=[0, 0, 1, 1]) for name, body in zip(names, bodies, strict=True)]
    (pose,) = read_keypoints(save(tmp_path / "a.json", [rows[1], rows[2], rows[0]]))
    assert pose.frames.tolist() == [3, 10, 12]
    for i, body in enumerate(bodies):
        check(pose, body, "coco-17", i)


def test_a_single_photo_needs_no_number(tmp_path: Path) -> None:
    content = [row("beach.jpg", person(17)), row("beach.jpg", person(17, 1, x=800))]
    assert [pose.frames.tolist() for pose in read_keypoints(save(tmp_path / "a.json", content))] == [[0], [0]]


@pytest.mark.parametrize("wrap", [int, float, lambda i: [float(i)], lambda i: [[float(i)], [9.0]]])
def test_alphapose_ids_however_nested(tmp_path: Path, wrap: Any) -> None:
    left, right = person(26, 1), person(26, 2, x=900)
    rows = [row(f"{f}.jpg", right, idx=wrap(7)) for f in range(3)] + [row("2.jpg", left, idx=wrap(4))]
    four, seven = read_keypoints(save(tmp_path / "a.json", rows))
    assert (four.track_id, four.frames.tolist()) == (4, [2])
    assert (seven.track_id, seven.frames.tolist()) == (7, [0, 1, 2])
    check(four, left, "halpe-26")


@pytest.mark.parametrize("idx", [None, 0.0, [0.0], [[0.0], [0.0]]])
def test_people_without_ids_become_tracks(tmp_path: Path, idx: Any) -> None:
    more = {} if idx is None else {"idx": idx}
    rows = []
    for frame in range(20):
        pair = [row(f"{frame}.jpg", person(17, 1, x=300 + 5 * frame), **more)]
        if frame != 8:
            pair.append(row(f"{frame}.jpg", person(17, 2, x=900 - 5 * frame), **more))
        rows += pair if frame % 3 else pair[::-1]
    tracks = read_keypoints(save(tmp_path / "a.json", rows))
    assert sorted(len(pose) for pose in tracks) == [19, 20]
    for pose in tracks:
        steps = np.diff(pose.points_px.mean(axis=(1, 2)))
        assert (np.abs(steps) < 10).all()


@pytest.mark.parametrize(("people", "joints"), [("bodies", "joints"), ("people", "pose_keypoints_2d")])
def test_alphapose_cmu_and_openpose_forms(tmp_path: Path, people: str, joints: str) -> None:
    body = person(18)
    body[1] = body[[2, 5]].mean(axis=0)
    frames = {
        f"{frame}.jpg": {"version": "AlphaPose v0.3", people: [{joints: body.ravel().tolist()}]}
        for frame in (4, 2)
    }
    (pose,) = read_keypoints(save(tmp_path / "a.json", frames))
    assert pose.frames.tolist() == [2, 4]
    check(pose, body, "coco-18")
    for name, frame in frames.items():
        save(tmp_path / "sep-json" / f"{name.split('.')[0]}.json", frame)
    (pose,) = read_keypoints(tmp_path / "sep-json")
    assert pose.frames.tolist() == [2, 4]
    check(pose, body, "coco-18")


def test_alphapose_neck_of_halpe_models_is_mended(tmp_path: Path) -> None:
    body = person(18)
    frames = {"0.jpg": {"version": "AlphaPose v0.3", "bodies": [{"joints": body.ravel().tolist()}]}}
    (pose,) = read_keypoints(save(tmp_path / "a.json", frames))
    body[1] = body[[2, 5]].mean(axis=0)
    check(pose, body, "coco-18")


# OpenPose


def openpose_frame(*bodies: np.ndarray, person_id: Any = -1) -> dict[str, Any]:
    people = [{"person_id": [person_id], "pose_keypoints_2d": body.ravel().tolist()} for body in bodies]
    return {"version": 1.3, "people": people}


@pytest.mark.parametrize("name", ["clip_{:012d}_keypoints.json", "cam02.{:04d}.json", "{}.json"])
def test_openpose_folder_counts_frames_by_file_name(tmp_path: Path, name: str) -> None:
    body = person(18)
    body[4] = 0
    for frame in (12, 7, 9):
        save(tmp_path / "run" / name.format(frame), openpose_frame(*[body] * (frame != 9)))
    (pose,) = read_keypoints(tmp_path / "run")
    assert pose.frames.tolist() == [7, 12]
    check(pose, body, "coco-18")
    assert pose.confidence[0, 4] == 0


def test_openpose_person_ids(tmp_path: Path) -> None:
    for frame in range(3):
        content = openpose_frame(person(18, 1), person(18, 2, x=900))
        content["people"][0]["person_id"] = [5]
        content["people"][1]["person_id"] = [3]
        if frame == 1:
            content["people"].reverse()
        save(tmp_path / "run" / f"{frame}.json", content)
    three, five = read_keypoints(tmp_path / "run")
    assert (three.track_id, five.track_id) == (3, 5)
    check(five, person(18, 1), "coco-18", 0)
    check(five, person(18, 1), "coco-18", 1)


@pytest.mark.parametrize("folder", ["openpose_json_subject/cam01", "openpose_json_subject/cam02"])
def test_openpose_subject_of_the_real_clips(shared: Path, folder: str) -> None:
    path = shared / "video" / "pose2sim_single" / folder
    (pose,) = read_keypoints(path)
    assert pose.skeleton is SKELETONS["body-25b"]
    assert pose.frames.tolist() == list(range(100))
    assert (pose.image_size, pose.assumed) == ((1080, 1920), ("fps", "image_size"))
    for frame, file in list(enumerate(sorted(path.iterdir())))[::33]:
        raw = json.loads(file.read_text())["people"][0]["pose_keypoints_2d"]
        check(pose, np.reshape(raw, (25, 3)), "body-25b", frame)


@pytest.mark.parametrize("camera", ["cam01", "cam02"])
def test_openpose_two_people_of_the_real_clips_keep_apart(shared: Path, camera: str) -> None:
    subject, bystander = read_keypoints(shared / "video" / "pose2sim_single" / "openpose_json" / camera)[:2]
    (alone,) = read_keypoints(shared / "video" / "pose2sim_single" / "openpose_json_subject" / camera)
    assert len(subject) == len(bystander) == 100
    both = (subject.confidence > 0) & (alone.confidence > 0)
    apart = np.linalg.norm(subject.points_px - alone.points_px, axis=-1)
    assert np.median(apart[both]) < 1


def test_openpose_people_who_change_places_in_the_file_keep_apart(shared: Path) -> None:
    """The man is at index 0 or 1 of a frame; his projected truth, two frames late, says who is who."""
    clip = shared / "video" / "pose2sim_multi"
    truth = np.load(clip / "gt_adult.npz")
    in_camera = truth["joints_m"][2:] @ truth["cam01_R"].T + truth["cam01_t"].reshape(3)
    pixels = in_camera @ truth["cam01_K"].T
    pixels = pixels[..., :2] / pixels[..., 2:]
    knee = [str(name) for name in truth["joint_names"]].index("left_knee")
    off = {}
    for pose in read_keypoints(clip / "openpose_json" / "cam01"):
        rows = (pose.frames < len(pixels)) & (pose.confidence[:, pose.skeleton.index("left_knee")] > 0.3)
        places = pose.points_px[rows, pose.skeleton.index("left_knee")]
        if len(places) > 50:
            off[pose.track_id] = np.linalg.norm(places - pixels[pose.frames[rows], knee], axis=-1)
    man = min(off, key=lambda track_id: float(np.median(off[track_id])))
    assert np.median(off[man]) < 20
    assert (off[man] < 120).mean() > 0.97


def test_layouts_with_equally_many_joints_are_told_apart(shared: Path) -> None:
    rng = np.random.default_rng(0)
    folder = shared / "video" / "pose2sim_single" / "openpose_json_subject" / "cam01"
    (pose,) = read_keypoints(folder)
    for layout in ("body-25", "body-25b", "coco-17+feet", "h36m-17+feet"):
        own = pose.to(layout)
        for _ in range(20):
            rows = rng.integers(0, len(own), 10)
            lost = rng.random((10, len(own.skeleton))) < 0.4
            told = recognise_layout(own.points_px[rows], np.where(lost, 0, own.confidence[rows]))
            assert told is SKELETONS[layout]
    (forced,) = read_keypoints(folder, skeleton="body-25")
    assert forced.skeleton is SKELETONS["body-25"]


# COCO and MMPose


def test_coco_results(tmp_path: Path) -> None:
    rows = [row(frame, person(17, x=300 + frame)) for frame in (5, 3)]
    (pose,) = read_keypoints(save(tmp_path / "results.json", rows))
    assert pose.frames.tolist() == [3, 5]
    check(pose, person(17, x=303), "coco-17")
    assert pose.source == "results.json: COCO results"


def test_coco_annotations_know_the_size_and_have_flags(tmp_path: Path) -> None:
    body = person(17)
    body[:, 2] = RNG.integers(0, 3, 17)
    body[:3, 2] = 0, 1, 2
    content = {
        "images": [
            {"id": 900 + f, "file_name": f"a/{f:06d}.jpg", "width": 500, "height": 400} for f in (0, 1)
        ],
        "annotations": [row(900 + f, body, id=f, track_id=2) for f in (1, 0)],
    }
    (pose,) = read_keypoints(save(tmp_path / "person.json", content))
    assert (pose.frames.tolist(), pose.track_id, pose.image_size) == ([0, 1], 2, (500, 400))
    assert pose.assumed == ("fps",)
    assert pose.confidence[0].tolist() == (body[:, 2] / 2).tolist()
    assert pose.source == "person.json: COCO annotations; confidence is half the visibility flag"


def instance(keypoints: np.ndarray, **more: Any) -> dict[str, Any]:
    return {
        "keypoints": keypoints[:, :2].tolist(),
        "keypoint_scores": keypoints[:, 2].tolist(),
        "bbox": [[0.0, 0.0, 10.0, 10.0]],
        "bbox_score": 0.9,
        **more,
    }


def test_mmpose_inferencer_video(tmp_path: Path) -> None:
    frames = [
        {
            "frame_id": f,
            "instances": [] if f == 1 else [instance(person(26, 3)), instance(person(26, 9, x=900))],
        }
        for f in range(4)
    ]
    tracks = read_keypoints(save(tmp_path / "clip.json", frames))
    left, right = sorted(tracks, key=lambda pose: pose.points_px[0, 0, 0])
    assert left.frames.tolist() == right.frames.tolist() == [0, 2, 3]
    check(left, person(26, 3), "halpe-26", 2)
    check(right, person(26, 9, x=900), "halpe-26", 2)


def test_mmpose_demo_counts_from_one(tmp_path: Path) -> None:
    body = person(17)
    body[3, 2] = 1.02
    frames = [{"frame_id": f, "instances": [instance(body, track_id=6)]} for f in (1, 2)]
    for dataset, skeleton in (("coco", "coco-17"), ("h36m", "h36m-17"), ("anything", "coco-17")):
        content = {"meta_info": {"dataset_name": dataset}, "instance_info": frames}
        (pose,) = read_keypoints(save(tmp_path / "results_clip.json", content))
        assert (pose.frames.tolist(), pose.track_id) == ([0, 1], 6)
        assert pose.confidence[0, 3] == 1
        assert pose.source.endswith("MMPose predictions; confidence clipped to 1")
        check(pose, np.minimum(body, [9999, 9999, 1]), skeleton)


def test_mmpose_single_image_and_folder_of_images(tmp_path: Path) -> None:
    for frame in (4, 5):
        save(tmp_path / "out" / f"img_{frame}.json", [instance(person(17, x=300 + frame))])
    (pose,) = read_keypoints(tmp_path / "out" / "img_4.json")
    assert pose.frames.tolist() == [0]
    check(pose, person(17, x=304), "coco-17")
    (pose,) = read_keypoints(tmp_path / "out")
    assert pose.frames.tolist() == [4, 5]
    check(pose, person(17, x=305), "coco-17", 1)


def test_json_without_confidence_is_sure_and_says_so(tmp_path: Path) -> None:
    body = person(17)
    flat = [row(0, body[:, :2])]
    nested = [{"frame_id": 0, "instances": [{"keypoints": body[:, :2].tolist()}]}]
    for content in (flat, nested):
        (pose,) = read_keypoints(save(tmp_path / "a.json", content))
        check(pose, np.column_stack([body[:, :2], np.ones(17)]), "coco-17")
        assert pose.assumed == ("confidence", "fps", "image_size")


# Arrays


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_bare_arrays(tmp_path: Path, suffix: str) -> None:
    values = np.stack([person(17, seed) for seed in range(5)])
    values[2] = 0
    for array in (values, values.astype(np.float32)):
        path = tmp_path / f"a.{suffix}"
        if suffix == "npy":
            np.save(path, array)
        else:
            np.savez(path, reconstruction=array, extra=np.arange(3))
        (pose,) = read_keypoints(path)
        assert pose.frames.tolist() == [0, 1, 3, 4]
        check(pose, values[4], "h36m-17", 3)
        (coco,) = read_keypoints(path, skeleton="coco-17")
        check(coco, values[4], "coco-17", 3)


def test_bare_array_without_confidence(tmp_path: Path) -> None:
    values = np.stack([person(26, seed) for seed in range(5)])[..., :2]
    values[3, 7] = 0
    np.save(tmp_path / "a.npy", values)
    (pose,) = read_keypoints(tmp_path / "a.npy")
    assert pose.skeleton is SKELETONS["halpe-26"]
    assert pose.assumed == ("confidence", "fps", "image_size")
    assert np.argwhere(pose.confidence != 1).tolist() == [[3, 7]]
    assert pose.confidence[3, 7] == 0


def test_bare_array_of_several_people(tmp_path: Path) -> None:
    values = np.stack([[person(17, 10 * who + frame) for frame in range(3)] for who in range(2)])
    np.save(tmp_path / "a.npy", values)
    first, second = read_keypoints(tmp_path / "a.npy")
    assert (first.track_id, second.track_id) == (0, 1)
    check(second, values[1, 2], "h36m-17", 2)


def test_heatmap_scores_are_divided_by_their_maximum(tmp_path: Path) -> None:
    values = person(17)[None].copy()
    values[0, :, 2] *= 100
    np.save(tmp_path / "a.npy", values)
    (pose,) = read_keypoints(tmp_path / "a.npy")
    top = values[0, :, 2].max()
    np.testing.assert_allclose(pose.confidence[0], values[0, :, 2] / top, rtol=1e-6)
    assert pose.source == f"a.npy: array; confidence divided by its maximum {top:g}"


def test_what_others_reported_of_identities(tmp_path: Path) -> None:
    """A second detection in a frame, new ids in every frame, and `track="anew"` over exchanged ones."""
    walk = [person(17, 1, x=300 + 5 * frame) for frame in range(60)]
    second = row("30.jpg", walk[30] * [1, 1, 0.6] + [3, 2, 0])
    rows = [row(f"{frame}.jpg", body) for frame, body in enumerate(walk)]
    (pose,) = read_keypoints(save(tmp_path / "a.json", [*rows[:30], second, *rows[30:]]))
    assert len(pose) == 60
    assert pose.record == {"identities": "tracked", "second_detections_left_out": 1}
    check(pose, walk[30], "coco-17", 30)
    (pose,) = read_keypoints(save(tmp_path / "a.json", [{**r, "idx": i} for i, r in enumerate(rows)]))
    assert len(pose) == 60
    assert "because the file's change" in pose.record["identities"]
    others = [row(f"{frame}.jpg", person(17, 2, x=900 - 4 * frame)) for frame in range(60)]
    both = [
        {**r, "idx": 1 + (who + (frame >= 40)) % 2}
        for who, person_rows in enumerate((rows, others))
        for frame, r in enumerate(person_rows)
    ]
    file = save(tmp_path / "a.json", both)
    assert read_keypoints(file)[0].record["ids_change"] == [[40, 1, 2], [40, 2, 1]]
    for pose in read_keypoints(file, track="anew"):
        assert len(pose) == 60
        assert (np.abs(np.diff(pose.points_px.mean(axis=(1, 2)))) < 10).all()


def test_own_layout_comes_back_as_it_is(tmp_path: Path) -> None:
    points = RNG.uniform(0, 400, (6, 25, 2))
    confidence = RNG.uniform(0, 1, (6, 25))
    confidence[2] = 0
    keys: dict[str, Any] = {
        "points_px": points,
        "confidence": confidence,
        "fps": 59.94,
        "image_size": (1080, 1920),
    }
    keys |= {
        "frames": np.array([4, 7, 8, 1, 2, 4]),
        "skeleton": "body-25b",
        "track_id": np.array([3, 3, 3, 1, 1, 1]),
    }
    np.savez(tmp_path / "a.npz", **keys, times_s=np.array([0.1, 0.2, 0.25, 0.0, 0.02, 0.1]))
    one, three = read_keypoints(tmp_path / "a.npz")
    assert (three.track_id, three.frames.tolist()) == (3, [4, 7, 8])
    assert (one.track_id, one.frames.tolist(), one.times_s.tolist()) == (1, [1, 2, 4], [0, 0.02, 0.1])
    assert (three.points_px == points[:3]).all()
    assert (three.confidence == confidence[:3]).all()
    assert (three.fps, three.image_size, three.assumed) == (59.94, (1080, 1920), ())
    assert three.skeleton is SKELETONS["body-25b"]
    assert read_keypoints(tmp_path / "a.npz", fps=10)[0].times_s.tolist() == [0.1, 0.2, 0.4]


def test_own_layout_follows_the_same_rules_for_confidence(tmp_path: Path) -> None:
    points, scores = RNG.uniform(0, 400, (2, 17, 2)), np.full((2, 17), 0.5)
    scores[1, 3] = 1.02
    np.savez(tmp_path / "a.npz", points_px=points, confidence=scores)
    (pose,) = read_keypoints(tmp_path / "a.npz")
    assert (pose.confidence == np.minimum(scores, 1)).all()
    assert pose.source == "a.npz: array; confidence clipped to 1"


def test_own_layout_with_nothing_but_points(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", points_px=RNG.uniform(0, 400, (6, 17, 2)), track_id=5)
    (pose,) = read_keypoints(tmp_path / "a.npz")
    assert (pose.skeleton.name, pose.track_id, pose.frames.tolist()) == ("h36m-17", 5, list(range(6)))
    assert (pose.confidence == 1).all()
    assert pose.assumed == ("confidence", "fps", "image_size")


# What is assumed


@pytest.mark.parametrize(
    ("farthest", "size"),
    [
        ((300, 200), (320, 240)), ((200, 300), (240, 320)), ((700, 400), (854, 480)),
        ((800, 1500), (1080, 1920)), ((1000, 1001), (1920, 1080)), ((9000, 10), (9000, 9000)),
    ],
)  # fmt: skip
def test_assumed_size_is_the_smallest_common_one(farthest: tuple[int, int], size: tuple[int, int]) -> None:
    points = np.array([[[0.0, 0.0], farthest, (50_000.0, 50_000.0)]])
    assert assume_size(points, np.array([[0.5, 0.5, 0.1]])) == size


def test_known_layouts_are_all_named() -> None:
    assert sorted(KNOWN_LAYOUTS.lower().split(", ")) == sorted(SKELETONS)
    # What has 24 joints is a part of MHR-70 that nobody writes alone.
    told = {len(skeleton) for name, skeleton in SKELETONS.items() if name != "coco-18+feet"}
    assert told <= set(LAYOUT_OF_COUNT)


def test_what_is_keypoints_and_what_is_video(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"\x00\x00\x00\x20ftypisom")
    (tmp_path / "a.txt").write_text(" \n[1, 2]")
    np.save(tmp_path / "b.bin.npy", np.zeros(3))
    assert read_unless_video(tmp_path / "clip.mp4") is None
    assert all(begins_keypoints((tmp_path / name).read_bytes()) for name in ("a.txt", "b.bin.npy"))
    for name in ("none.mp4", "."):
        with pytest.raises(UserError):
            read_unless_video(tmp_path / name)


def test_a_file_is_opened_once(tmp_path: Path) -> None:
    """So it may be a pipe, which can be read but once."""
    content = json.dumps([row(f"{i}.jpg", person(17)) for i in range(3)])
    os.mkfifo(tmp_path / "pipe")
    writer = Thread(target=(tmp_path / "pipe").write_text, args=(content,))
    writer.start()
    tracks = read_unless_video(tmp_path / "pipe")
    writer.join()
    assert tracks is not None
    assert [len(track) for track in tracks] == [3]


# Whatever the bytes, tracks or one clear error


def read_or_refuse(path: Path) -> None:
    """Anything but tracks and a message about this file fails."""
    tracks, message = [], ""
    try:
        tracks = read_keypoints(path)
    except UserError as error:
        message = error.message
    assert tracks or message.startswith(f"{path.name}: ")


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
names = st.sampled_from(
    ["image_id", "keypoints", "people", "pose_keypoints_2d", "bodies", "joints", "instances", "frame_id",
     "idx", "instance_info", "keypoint_scores", "annotations", "images", "id", "person_id", "track_id",
     "meta_info"]
)  # fmt: skip
keypoint_lists = st.sampled_from([17 * 3, 17 * 2, 18 * 3, 25 * 3, 21 * 3]).flatmap(
    lambda count: st.lists(st.floats(0, 900, width=16), min_size=count, max_size=count)
)
junk = st.recursive(
    leaves | keypoint_lists,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)


@given(content=junk)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_gives_tracks_or_a_user_error(tmp_path: Path, content: Any) -> None:
    path = save(tmp_path / "a.json", content)
    read_or_refuse(path)


@given(where=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("suffix", ["json", "npy", "npz"])
def test_damaged_files_give_tracks_or_a_user_error(
    tmp_path: Path, suffix: str, where: float, byte: int, cut: bool
) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "json":
        save(path, [row(f"{f}.jpg", person(17, f), idx=1) for f in range(3)])
    elif suffix == "npy":
        np.save(path, np.stack([person(17, f) for f in range(3)]))
    else:
        np.savez(path, points_px=RNG.uniform(0, 9, (3, 17, 2)), fps=3.0, skeleton="coco-17")
    data = path.read_bytes()
    at = int(where * (len(data) - 1))
    path.write_bytes(data[:at] if cut else data[:at] + bytes([byte]) + data[at + 1 :])
    read_or_refuse(path)


def test_numbers_too_large_to_square_are_refused(tmp_path: Path) -> None:
    """Where people, or the two layouts of 25 joints, are told apart by distances."""
    body = np.stack([person(25), person(25, 1)])
    body[0, 3, 0] = 1e200
    np.save(tmp_path / "people.npy", np.stack([body, body]))
    np.save(tmp_path / "body.npy", body)
    for name in ("people.npy", "body.npy"):
        with pytest.raises(UserError, match=rf"{name}: expected numbers up to 1,000,000,000, found 1e\+200"):
            read_keypoints(tmp_path / name)
