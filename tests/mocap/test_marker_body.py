"""Bodies out of markers: joints by name, joint centres of a body whose joints are known, gaps, up."""

from pathlib import Path

import numpy as np
import pytest

from repose.errors import UserError
from repose.export.c3d import write_c3d
from repose.export.trc import write_trc
from repose.export.upright import to_world
from repose.mocap.c3d import read_c3d
from repose.mocap.markers import MARKERS, joint_centres
from repose.mocap.recordings import H36M, read_mocap
from repose.mocap.trc import read_trc
from repose.pose import Pose3D
from repose.sample import load_sample_truth

# Metres, z up; the body looks along +x, so +y is its left. Left and right differ everywhere.
JOINTS = {
    "left_hip": (0.0, 0.09, 0.90), "left_knee": (0.10, 0.10, 0.49), "left_ankle": (0.0, 0.11, 0.08),
    "right_hip": (0.0, -0.09, 0.90), "right_knee": (0.32, -0.13, 0.66), "right_ankle": (0.30, -0.12, 0.25),
    "left_elbow": (0.0, 0.24, 1.10), "left_wrist": (0.15, 0.23, 0.92),
    "right_elbow": (0.10, -0.25, 1.12), "right_wrist": (0.33, -0.20, 1.15),
}  # fmt: skip
OFFSET_M = {"KNE": 0.057, "ANK": 0.042, "ELB": 0.042}


def pelvis_markers() -> dict[str, np.ndarray]:
    """ASIS and PSIS of a pelvis 0.24 m wide and 0.15 m deep whose hips are, by Harrington, those above."""
    width, depth = 0.24, 0.15
    forward, up, aside = -0.24 * depth - 0.0099, -0.30 * width - 0.0109, 0.33 * width + 0.0073
    front = np.array([0, 0, 0.90]) - (forward, 0, up)
    back = front - (depth, 0, 0)
    assert abs(aside - 0.0865) < 1e-3
    return {
        "LASI": front + np.array([0, width / 2, 0]), "RASI": front - (0, width / 2, 0),
        "LPSI": back + np.array([0, 0.05, 0]), "RPSI": back - (0, 0.05, 0),
    }  # fmt: skip


def lateral(
    joint: np.ndarray, above: np.ndarray, way: tuple[float, float, float], offset: float
) -> np.ndarray:
    """A marker beside a joint, so that the way to it is at right angles to the marker's own way up."""
    along = (above - joint) / np.linalg.norm(above - joint)
    out = np.array(way) - np.dot(way, along) * along
    out /= np.linalg.norm(out)
    length = np.linalg.norm(above - joint)
    marker = joint + offset * out
    assert length > offset
    return marker


def markers() -> dict[str, np.ndarray]:
    found = pelvis_markers()
    place = {name: np.array(at) for name, at in JOINTS.items()}
    shoulders = {"L": np.array([0, 0.19, 1.40]), "R": np.array([0, -0.17, 1.38])}
    for letter, side, out in (("L", "left", 1.0), ("R", "right", -1.0)):
        hip, knee, ankle = (place[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        found[f"{letter}KNE"] = lateral(knee, hip, (0, out, 0), OFFSET_M["KNE"])
        found[f"{letter}ANK"] = lateral(ankle, knee, (0, out, 0), OFFSET_M["ANK"])
        found[f"{letter}THI"] = (hip + 2 * found[f"{letter}KNE"]) / 3 + (0, 0.06 * out, 0)
        found[f"{letter}TIB"] = (knee + found[f"{letter}ANK"]) / 2 + (0, 0.06 * out, 0)
        elbow, wrist = place[f"{side}_elbow"], place[f"{side}_wrist"]
        bar = np.array([0.02, 0, 0.01])
        centre = shoulders[letter] - np.array([0, 0, 0.17 * 0.3606])
        axis = np.cross(elbow - centre, wrist - elbow) * -out
        found[f"{letter}SHO"] = shoulders[letter]
        found[f"{letter}ELB"] = elbow + OFFSET_M["ELB"] * axis / np.linalg.norm(axis)
        found[f"{letter}WRA"], found[f"{letter}WRB"] = wrist + bar, wrist - bar
        found[f"{letter}FHD"] = np.array([0.10, 0.07 * out, 1.62])
        found[f"{letter}BHD"] = np.array([-0.08, 0.07 * out, 1.62])
    found |= {"C7": np.array([-0.07, 0, 1.47]), "CLAV": np.array([0.07, 0, 1.37])}
    return found | {"T10": np.array([-0.10, 0, 1.15]), "STRN": np.array([0.10, 0, 1.10])}


def test_joint_centres_of_a_body_whose_joints_are_known() -> None:
    joints = joint_centres({name: place[None] for name, place in markers().items()})
    found = dict(zip(H36M.joints, joints[0], strict=True))
    for joint, place in JOINTS.items():
        atol = 0.005 if joint.endswith("hip") else 0.015
        np.testing.assert_allclose(found[joint], place, atol=atol, err_msg=joint)
    np.testing.assert_allclose(found["thorax"], (0, 0, 1.42), atol=1e-9)
    np.testing.assert_allclose(found["spine"], (0, 0, 1.125), atol=1e-9)
    np.testing.assert_allclose(found["head_top"], (0.01, 0, 1.71), atol=1e-9)
    np.testing.assert_allclose(found["nose"], (0.05, 0, 1.58), atol=1e-9)
    # Below the acromia by 17 % of their distance.
    np.testing.assert_allclose(found["left_shoulder"][2], 1.40 - 0.17 * 0.3606, atol=2e-3)


def test_a_missing_marker_makes_only_the_joints_missing_that_need_it() -> None:
    there = {name: np.repeat(place[None], 2, axis=0) for name, place in markers().items()}
    there["LKNE"][1] = np.nan
    joints = joint_centres(there)
    lost = {joint for joint, place in zip(H36M.joints, joints[1], strict=True) if np.isnan(place).any()}
    assert lost == {"left_knee", "left_ankle"}


def test_uiprmd_is_read_in_pieces_between_long_gaps(tmp_path: Path) -> None:
    names = [*MARKERS, "LFIN"]
    there = markers() | {"LFIN": np.array([0.2, 0.2, 0.9])}
    still = np.stack([there[name] for name in names])
    steps = np.repeat(np.round(still / 0.0005).astype(np.int16)[None], 90, axis=0)
    steps[10:13, names.index("LKNE")] = -32768  # 0.06 s: filled
    steps[40:60, names.index("RELB")] = -32768  # 0.4 s: cut
    np.savez(
        tmp_path / "markers.npz",
        markers_half_mm=steps,
        marker_names=np.array(names),
        clips=np.array([[3, 7, 1, 0, 0, 90], [3, 7, 2, 1, 0, 20]]),
        fps=50,
    )
    clips = read_mocap(tmp_path)
    assert [(clip.name, len(clip)) for clip in clips] == [
        ("m03_s07_e01#0", 40), ("m03_s07_e01#60", 30), ("m03_s07_e02_wrong", 20)
    ]  # fmt: skip
    np.testing.assert_allclose(clips[0].joints_m[11], clips[0].joints_m[0], atol=1e-6)
    assert "joint centres estimated from Plug-in-Gait markers" in clips[0].notes
    np.testing.assert_allclose(clips[0].joints_m[0, H36M.index("left_knee")], JOINTS["left_knee"], atol=0.016)


@pytest.fixture(scope="module")
def world() -> Pose3D:
    truth = load_sample_truth()
    pose = Pose3D(
        joints_m=truth.joints_m[60:120].astype(np.float32),
        seen=np.ones((60, 17), dtype=bool),
        frames=np.arange(60),
        fps=truth.fps,
        skeleton="h36m-17",
        coordinates="camera",
        scale="the truth",
        confidence=np.ones((60, 17)),
    )
    return to_world([pose])[0]


@pytest.mark.parametrize("suffix", [".trc", ".c3d"])
def test_exported_markers_come_back_as_motion_capture(world: Pose3D, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"läufer{suffix}"
    (write_trc if suffix == ".trc" else write_c3d)(world, path)
    (clip,) = read_mocap(path)
    assert (len(clip), clip.fps) == (60, 30.0)
    np.testing.assert_allclose(clip.joints_m, world.joints_m, atol=2e-6)
    assert ("y is up, by how the person stands" in clip.notes) == (suffix == ".trc")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("\tm\t", "\tparsec\t"), "expected a unit among m, cm, mm"),
        (lambda text: text[: len(text) // 2], "cells in each row"),
        (lambda text: text.replace("LKnee", "LAnkle"), "each with a name of its own"),
        (lambda text: text.replace("LKnee", "Mast"), "or a joint map, found Hip"),
        (lambda text: text.replace("\tm\t", "\tmm\t"), "expected a thigh of 0.2 to 0.7 m"),
        (lambda text: text[:40], "expected a TRC file"),
    ],
)
def test_broken_tables_are_refused(world: Pose3D, tmp_path: Path, change, message: str) -> None:
    write_trc(world, tmp_path / "a.trc")
    (tmp_path / "a.trc").write_text(change((tmp_path / "a.trc").read_text()))
    with pytest.raises(UserError) as error:
        read_mocap(tmp_path / "a.trc")
    assert message in error.value.message


def test_z_up_is_seen_in_markers(world: Pose3D, tmp_path: Path) -> None:
    write_trc(world, tmp_path / "a.trc")
    lines = (tmp_path / "a.trc").read_text().splitlines()
    for i in range(6, len(lines)):
        cells = lines[i].split("\t")
        for at in range(2, 2 + 51, 3):
            x, y, z = cells[at : at + 3]
            cells[at : at + 3] = [x, str(-float(z)), y]
        lines[i] = "\t".join(cells)
    (tmp_path / "a.trc").write_text("\n".join(lines))
    (clip,) = read_mocap(tmp_path / "a.trc")
    assert "z is up, by how the person stands" in clip.notes
    np.testing.assert_allclose(clip.joints_m, world.joints_m, atol=2e-6)


def test_a_damaged_c3d_is_refused(world: Pose3D, tmp_path: Path) -> None:
    write_c3d(world, tmp_path / "a.c3d")
    whole = (tmp_path / "a.c3d").read_bytes()
    assert read_c3d(tmp_path / "a.c3d").up == "y"
    for content in (whole[:300], b"\x00" * 600, whole[: len(whole) // 2]):
        (tmp_path / "a.c3d").write_bytes(content)
        with pytest.raises(UserError, match=r"a\.c3d: expected"):
            read_c3d(tmp_path / "a.c3d")


def test_empty_cells_are_missing_markers(world: Pose3D, tmp_path: Path) -> None:
    write_trc(world, tmp_path / "a.trc")
    lines = (tmp_path / "a.trc").read_text().splitlines()
    cells = lines[10].split("\t")
    cells[2:5] = ["", "", ""]
    lines[10] = "\t".join(cells)
    (tmp_path / "a.trc").write_text("\n".join(lines))
    places = read_trc(tmp_path / "a.trc").positions_m
    assert np.isnan(places[4, 0]).all()
    assert np.isfinite(places[4, 1:]).all()


def test_no_damaged_byte_of_a_c3d_header_escapes(world: Pose3D, tmp_path: Path) -> None:
    write_c3d(world, tmp_path / "a.c3d")
    whole = (tmp_path / "a.c3d").read_bytes()
    read = 0
    for at in [*range(24), *range(512, 900, 7)]:
        for value in (0, 127, 255):
            (tmp_path / "a.c3d").write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            try:
                read_c3d(tmp_path / "a.c3d")
                read += 1
            except UserError:
                pass
    assert 0 < read < 3 * (24 + 56)
