"""Tables whose joints have names that users gave: DeepLabCut, SLEAP, and Sports2D's TRC in pixels."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from repose import estimate, read_keypoints
from repose.errors import UserError
from repose.keypoints.reader import begins_keypoints
from repose.keypoints.tables import joint_named
from repose.pose import Pose2D
from repose.sample import load_sample_truth
from repose.skeleton import H36M_17, SKELETONS

TRUTH = load_sample_truth()
FRAMES = 40
PARTS = {
    "LShoulder": "left_shoulder", "shoulder_r": "right_shoulder", "leftElbow": "left_elbow",
    "R_Elbow": "right_elbow", "left wrist": "left_wrist", "wristR": "right_wrist", "HIP_LEFT": "left_hip",
    "rhip": "right_hip", "left_knee": "left_knee", "RKnee": "right_knee", "ankle-left": "left_ankle",
    "RIGHTANKLE": "right_ankle",
}  # fmt: skip
POINTS = TRUTH.points_px[:FRAMES, H36M_17.indices(*PARTS.values())].astype(np.float64).round(3)
"""(frames, parts, 2): somebody who walks, whose sides differ."""
OTHER = POINTS + np.array([300, 20])
SCORES = np.random.default_rng(1).uniform(0.3, 0.99, POINTS.shape[:2]).round(4)
TAIL = np.full((FRAMES, 1, 3), 7.0)
NAMES = ["tailbase", *PARTS]
VALUES = np.concatenate([TAIL, np.dstack([POINTS, SCORES])], axis=1)
OTHERS = np.concatenate([TAIL, np.dstack([OTHER, SCORES / 2])], axis=1)


def cell(value: float) -> str:
    return "" if np.isnan(value) else repr(float(value))


def write_csv(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    return path


def deeplabcut(
    path: Path,
    people: dict[str, np.ndarray],
    starts: Sequence[Sequence[str]] = (),
    names: Sequence[str] = NAMES,
) -> Path:
    width = next(iter(people.values())).shape[-1]
    starts = starts or [[str(frame)] for frame in range(FRAMES)]
    lead = [""] * (len(starts[0]) - 1)
    columns = [
        (person, part, axis)
        for person in people
        for part in names
        for axis in ("x", "y", "likelihood")[:width]
    ]
    rows = [["scorer", *lead, *["DLC_resnet50"] * len(columns)]]
    if people.keys() != {""}:
        rows.append(["individuals", *lead, *(person for person, _, _ in columns)])
    rows.append(["bodyparts", *lead, *(part for _, part, _ in columns)])
    rows.append(["coords", *lead, *(axis for _, _, axis in columns)])
    table = np.concatenate([values.reshape(len(values), -1) for values in people.values()], axis=1)
    return write_csv(
        path, rows + [[*start, *map(cell, row)] for start, row in zip(starts, table.tolist(), strict=True)]
    )


def sleap_csv(path: Path, people: dict[str, np.ndarray]) -> Path:
    titles = [f"{part}.{value}" for part in NAMES for value in ("x", "y", "score")]
    rows = [["track", "frame_idx", "instance.score", *titles]]
    for frame in range(FRAMES):
        for person, values in people.items():
            rows.append([person.strip("?"), str(frame + 5), "0.9", *map(cell, values[frame].ravel())])
    return write_csv(path, rows)


def sleap_h5(
    path: Path, people: Sequence[np.ndarray], tracks: Sequence[bytes], *, standard: bool = False
) -> Path:
    h5py = pytest.importorskip("h5py")
    values = np.stack(people)  # (track, frame, node, value)
    order = (1, 0, 2, 3) if standard else (0, 3, 2, 1)
    with h5py.File(path, "w") as file:
        points = values[..., :2].transpose(order)
        file.create_dataset("tracks", data=points, compression="gzip")
        scores = values[..., 2]
        file["point_scores"] = scores.transpose(1, 0, 2) if standard else scores.transpose(0, 2, 1)
        file["node_names"] = np.array([name.encode() for name in NAMES])
        file["track_names"] = np.array(tracks, dtype="S9") if len(tracks) else np.zeros(0)
    return path


def trc(path: Path, markers: Sequence[str], places: np.ndarray, *, first: int = 0) -> Path:
    count = len(places)
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"50\t50\t{count}\t{len(markers)}\tm\t50\t{first}\t{count}",
        "Frame#\tTime\t" + "\t\t\t".join(markers) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{n}" for n in range(1, len(markers) + 1) for axis in "XYZ"),
    ]
    for frame, row in enumerate(places.reshape(count, -1).tolist()):
        lines.append("\t".join([str(frame + first), repr(frame / 50), *map(cell, row)]))
    path.write_text("\n".join(lines) + "\n")
    return path


def check(pose: Pose2D, points: np.ndarray, scores: np.ndarray | None) -> None:
    """The named joints are where they should be, all others are missing."""
    here = pose.skeleton.indices(*PARTS.values())
    np.testing.assert_allclose(pose.points_px[:, here], points, rtol=1e-6)
    np.testing.assert_allclose(pose.confidence[:, here], 1 if scores is None else scores, rtol=1e-6)
    assert not np.delete(pose.confidence, here, axis=1).any()


Writer = Callable[[Path], Path]
ONE: dict[str, Writer] = {
    "DeepLabCut table": lambda folder: deeplabcut(folder / "one.csv", {"": VALUES}),
    "SLEAP table": lambda folder: sleap_csv(folder / "one.csv", {"track_0": VALUES}),
    "SLEAP analysis": lambda folder: sleap_h5(folder / "one.h5", [VALUES], []),
}
TWO: dict[str, Writer] = {
    "DeepLabCut table": lambda folder: deeplabcut(folder / "two.csv", {"anna": VALUES, "ben": OTHERS}),
    "SLEAP table": lambda folder: sleap_csv(folder / "two.csv", {"anna": VALUES, "ben": OTHERS}),
    "SLEAP analysis": lambda folder: sleap_h5(folder / "two.h5", [VALUES, OTHERS], [b"anna", b"ben"]),
}


@pytest.mark.parametrize(
    ("part", "joint"),
    [
        *PARTS.items(),
        *((word, "left_knee") for word in ("LKnee", "knee_l", "L_Knee", "lknee", "KneeL", "Left Knee")),
        ("REar", "right_ear"),
        ("RBigToe", "right_big_toe"),
        ("Nose", "nose"),
        ("top_of_head", "head_top"),
        ("MidHip", "pelvis"),
        *((part, None) for part in ("rear", "knee", "knee1", "head", "left_hand", "l_r_knee", "", "heel")),
    ],
)  # fmt: skip
def test_names_of_joints(part: str, joint: str | None) -> None:
    assert joint_named(part) == joint


@pytest.mark.parametrize("kind", ONE)
def test_one_person(tmp_path: Path, kind: str) -> None:
    path = ONE[kind](tmp_path)
    assert begins_keypoints(path.read_bytes())
    (pose,) = read_keypoints(path, fps=25, image_size=(1280, 720))
    check(pose, POINTS, SCORES)
    first = 5 if kind == "SLEAP table" else 0
    assert pose.frames.tolist() == list(range(first, first + FRAMES))
    assert pose.source == f"{path.name}: {kind}; 12 body joints by their names, without tailbase"
    assert (pose.skeleton.name, pose.assumed) == ("coco-17", ())


@pytest.mark.parametrize("kind", TWO)
def test_two_people(tmp_path: Path, kind: str) -> None:
    first, second = read_keypoints(TWO[kind](tmp_path))
    check(first, POINTS, SCORES)
    check(second, OTHER, SCORES / 2)
    assert (first.track_id, second.track_id) == (0, 1)


@pytest.mark.parametrize("kind", TWO)
def test_absent_people_and_missing_joints(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = OTHERS.copy()
    gone[10:20] = np.nan
    gone[3, 1 + list(PARTS).index("RKnee")] = np.nan
    monkeypatch.setattr(sys.modules[__name__], "OTHERS", gone)
    first, second = read_keypoints(TWO[kind](tmp_path))
    assert len(first) == FRAMES
    assert len(second) == FRAMES - 10
    knee = second.skeleton.index("right_knee")
    assert np.flatnonzero(second.confidence[:, knee] == 0).tolist() == [3]


def test_instances_without_tracks_are_tracked(tmp_path: Path) -> None:
    swapped, others = VALUES.copy(), OTHERS.copy()
    swapped[1::2], others[1::2] = OTHERS[1::2], VALUES[1::2]
    for path in (
        sleap_csv(tmp_path / "a.csv", {"?": swapped, "??": others}),
        sleap_h5(tmp_path / "a.h5", [swapped, others], []),
    ):
        tracks = sorted(read_keypoints(path), key=lambda pose: float(pose.points_px[..., 0].max()))
        assert [len(track) for track in tracks] == [FRAMES, FRAMES]
        check(tracks[0], POINTS, SCORES)
        check(tracks[1], OTHER, SCORES / 2)


def test_sleap_analysis_in_the_order_of_frames(tmp_path: Path) -> None:
    path = sleap_h5(tmp_path / "a.h5", [VALUES, OTHERS], [b"anna", b"ben"], standard=True)
    check(read_keypoints(path)[1], OTHER, SCORES / 2)


def test_sleap_analysis_of_two_frames(tmp_path: Path) -> None:
    first, second = read_keypoints(sleap_h5(tmp_path / "a.h5", [VALUES[:2], OTHERS[:2]], [b"anna", b"ben"]))
    check(first, POINTS[:2], SCORES[:2])
    check(second, OTHER[:2], SCORES[:2] / 2)


@pytest.mark.parametrize("cells", [1, 3])
def test_deeplabcut_labels_are_frames_by_the_pictures_names(tmp_path: Path, cells: int) -> None:
    starts = [["labeled-data", "walk", f"img{3 * frame:04}.png"] for frame in range(FRAMES)]
    starts = starts if cells == 3 else [["/".join(start)] for start in starts]
    (pose,) = read_keypoints(deeplabcut(tmp_path / "a.csv", {"": VALUES[..., :2]}, starts))
    check(pose, POINTS, None)
    assert pose.frames.tolist() == list(range(0, 3 * FRAMES, 3))
    assert "confidence" in pose.assumed


def test_a_table_is_lifted(tmp_path: Path) -> None:
    (pose,) = estimate(ONE["DeepLabCut table"](tmp_path), fps=50, size=(1280, 720))
    knee, head = pose.skeleton.indices("left_knee", "head_top")
    assert pose.seen[:, knee].all()
    assert not pose.seen[:, head].any()


def test_deeplabcut_hdf5_asks_for_csv(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["df_with_missing/table"] = np.zeros(3)
    with pytest.raises(UserError, match="save_as_csv"):
        read_keypoints(tmp_path / "a.h5")


def test_other_hdf5_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(UserError, match=r"tracks and node_names, found HDF5 with images"):
        read_keypoints(tmp_path / "a.h5")


def test_hdf5_opens_no_other_file_and_allocates_no_size_that_it_names(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    sleap_h5(tmp_path / "a.h5", [VALUES], [])
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["tracks"] = h5py.ExternalLink(str(tmp_path / "a.h5"), "tracks")
        file["node_names"] = np.array([name.encode() for name in NAMES])
    with pytest.raises(UserError, match="an array in the file itself"):
        read_keypoints(tmp_path / "link.h5")
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("tracks", (1, 2, 13, 10**12), "f8", chunks=(1, 2, 13, 100))
        file["node_names"] = np.array([name.encode() for name in NAMES])
    with pytest.raises(UserError, match=r"huge\.h5: tracks"):
        read_keypoints(tmp_path / "huge.h5")


def test_without_h5py_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"repose3d\[data\]"):
        read_keypoints(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([*["nose", "left_ear", "right_ear", "tail"], *[f"part{n}x" for n in range(9)]], "both hips or both"),
        (["tailbase", "left_shoulder", *list(PARTS)[1:-1], "shoulder_l"], "'left_shoulder' and 'shoulder_l'"),
    ],
)
def test_parts_that_make_no_body_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_keypoints(deeplabcut(tmp_path / "a.csv", {"": VALUES}, names=names))


@pytest.mark.parametrize("kind", ["DeepLabCut table", "SLEAP table"])
@pytest.mark.parametrize(("old", "new"), [(",", ";"), (",7.0", ",seven"), (",7.0", "")])
def test_damaged_tables_are_refused(tmp_path: Path, kind: str, old: str, new: str) -> None:
    path = ONE[kind](tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    assert old in lines[10]
    lines[10] = lines[10].replace(old, new, 1)
    path.write_text("".join(lines))
    with pytest.raises(UserError, match="expected"):
        read_keypoints(path)


def test_another_skeleton_than_that_of_the_names_is_refused(tmp_path: Path) -> None:
    path = ONE["DeepLabCut table"](tmp_path)
    with pytest.raises(UserError, match="expected coco-17"):
        read_keypoints(path, skeleton="h36m-17")
    assert len(read_keypoints(path, skeleton="coco-17")) == 1


def flat(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.zeros((*points.shape[:2], 1))], axis=-1)


@pytest.mark.parametrize("first", [0, 1])
def test_trc_in_pixels(tmp_path: Path, first: int) -> None:
    (pose,) = read_keypoints(trc(tmp_path / "px.trc", list(PARTS), flat(POINTS), first=first))
    check(pose, POINTS, None)
    assert pose.frames.tolist() == list(range(FRAMES))
    assert (pose.fps, pose.assumed) == (50, ("confidence", "image_size"))
    assert begins_keypoints((tmp_path / "px.trc").read_bytes())


def test_trc_with_a_head_is_halpe_26_and_lacks_no_pelvis(tmp_path: Path) -> None:
    head = POINTS[:, :1] - np.array([5, 120])
    points = np.concatenate([head, POINTS], axis=1)
    points[4, 1] = np.nan  # the left shoulder, and with it the neck
    (pose,) = read_keypoints(trc(tmp_path / "px.trc", ["Head", *PARTS], flat(points)))
    assert pose.skeleton is SKELETONS["halpe-26"]
    top, neck, pelvis = pose.skeleton.indices("head_top", "neck", "pelvis")
    np.testing.assert_allclose(pose.points_px[:, top], head[:, 0], rtol=1e-6)
    hips = [list(PARTS.values()).index(f"{side}_hip") for side in ("left", "right")]
    np.testing.assert_allclose(pose.points_px[:, pelvis], POINTS[:, hips].mean(axis=1), rtol=1e-6)
    assert np.flatnonzero(pose.confidence[:, neck] == 0).tolist() == [4]


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (flat(POINTS) / 300, "in metres"),
        (flat(POINTS) / 300 + 1, "3D motion capture"),
        (flat(POINTS) + 1, "3D motion capture"),
    ],
)
def test_trc_in_metres_is_motion_capture(tmp_path: Path, places: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_keypoints(trc(tmp_path / "m.trc", list(PARTS), places))
