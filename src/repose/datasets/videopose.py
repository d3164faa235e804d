"""Human3.6M as distributed by VideoPose3D (Pavllo et al. 2019) and most later papers: a pair of `.npz` files.

`data_3d_h36m.npz` has 32 joints in the world, `data_2d_h36m_*.npz` the detections of each of four cameras.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from repose.datasets.human36m import FPS, IMAGE_SIZES, LICENCE, TEST_SUBJECTS, TRAIN_SUBJECTS
from repose.datasets.store import Progress
from repose.datasets.store_writer import Recording, Source, count_progress, numeric_array
from repose.errors import expected, reads
from repose.files.pickles import map_npz, npz_keys
from repose.geometry.rotation import quaternion_to_matrix
from repose.skeleton import H36M_17, SKELETONS, Skeleton, convert

# fmt: off
_JOINTS_32 = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "right_toe", "right_toe_end",
    "left_hip", "left_knee", "left_ankle", "left_toe", "left_toe_end",
    "lower_spine", "spine", "thorax", "nose", "head_top",
    "left_neck", "left_shoulder", "left_elbow", "left_wrist", "left_hand", "left_thumb", "left_fingers",
    "left_fingers_end",
    "right_neck", "right_shoulder", "right_elbow", "right_wrist", "right_hand", "right_thumb",
    "right_fingers", "right_fingers_end",
)
"""The joints of the motion capture. Some are copies of one another."""

# Rotation (quaternion w, x, y, z, from the camera to the world) and position in millimetres of the
# cameras in the order of IMAGE_SIZES, as measured by the makers of Human3.6M. The numbers are those of
# Martinez et al. 2017 (github.com/una-dinosauria/3d-pose-baseline) as listed in VideoPose3D
# (github.com/facebookresearch/VideoPose3D, common/h36m_dataset.py).
_CAMERAS = {
    "S1": (
        ((0.14070565, -0.15007018, -0.7552408, 0.62232804), (1841.107, 4955.2847, 1563.4454)),
        ((0.6157188, -0.7648363, -0.14833826, 0.11794741), (1761.2786, -5078.007, 1606.265)),
        ((0.14651473, -0.14647852, 0.76530236, -0.60941756), (-1846.7777, 5215.0464, 1491.9724)),
        ((0.58340085, -0.7853162, 0.14548823, -0.14749594), (-1794.7897, -3722.699, 1574.8927)),
    ),
    "S5": (
        ((0.14673772, -0.16237096, -0.7551893, 0.6178939), (2097.3916, 4880.945, 1605.7324)),
        ((0.61597586, -0.7626792, -0.15728192, 0.1189815), (2031.7008, -5167.933, 1612.9231)),
        ((0.14291371, -0.12907842, 0.7678385, -0.6110143), (-1620.5948, 5171.6587, 1496.437)),
        ((0.592048, -0.7814218, 0.12747486, -0.15036418), (-1637.1737, -3867.3174, 1547.0332)),
    ),
    "S6": (
        ((0.13378978, -0.15692396, -0.75710905, 0.61988795), (1935.4518, 4950.2456, 1618.0839)),
        ((0.61471975, -0.7628813, -0.16174768, 0.11819245), (1969.804, -5128.739, 1632.7788)),
        ((0.15299481, -0.13529131, 0.76460963, -0.6112781), (-1769.5964, 5185.3613, 1476.9934)),
        ((0.59161013, -0.7804774, 0.1283227, -0.15615939), (-1721.6687, -3884.1313, 1540.4879)),
    ),
    "S7": (
        ((0.14352418, -0.16313368, -0.75483286, 0.6188825), (1974.513, 4926.3545, 1597.8326)),
        ((0.6141673, -0.76382625, -0.15966456, 0.117792994), (1937.0585, -5119.79, 1631.5665)),
        ((0.1455006, -0.12874816, 0.76605165, -0.61271393), (-1741.8112, 5208.2495, 1464.8246)),
        ((0.5912848, -0.78217643, 0.12445474, -0.15196487), (-1734.7106, -3832.4214, 1548.583)),
    ),
    "S8": (
        ((0.14110588, -0.15589868, -0.75619173, 0.61964405), (2150.6519, 4896.161, 1611.9047)),
        ((0.61696017, -0.7647668, -0.1484635, 0.11158158), (2219.9656, -5148.453, 1613.0441)),
        ((0.1471444, -0.1337712, 0.76701283, -0.61003697), (-1571.2216, 5137.0186, 1498.1761)),
        ((0.59278244, -0.78258705, 0.12147816, -0.14631996), (-1476.9133, -3896.7412, 1547.9722)),
    ),
    "S9": (
        ((0.15540588, -0.15548216, -0.75320953, 0.6199595), (2044.4585, 4935.117, 1481.2275)),
        ((0.6187845, -0.7634735, -0.14132239, 0.11933968), (1990.9597, -5123.8105, 1568.8048)),
        ((0.13357827, -0.13671005, 0.76894546, -0.61007386), (-1670.9922, 5211.986, 1528.388)),
        ((0.5879399, -0.7823407, 0.14276144, -0.1479487), (-1696.0435, -3827.0999, 1591.4127)),
    ),
    "S11": (
        ((0.15232472, -0.1544232, -0.75475633, 0.619107), (2098.4402, 4926.5547, 1500.2786)),
        ((0.61894494, -0.7600917, -0.15300633, 0.12552583), (2083.1824, -4912.173, 1561.0786)),
        ((0.14943229, -0.15650228, 0.7681234, -0.60263044), (-1609.8153, 5177.336, 1537.8967)),
        ((0.58942515, -0.7818877, 0.13991211, -0.14715362), (-1590.738, -3854.169, 1578.0176)),
    ),
}
# fmt: on


@reads("an .npz of Human3.6M")
def read_videopose(
    file: str | Path, other: str | Path | None, *, unpack_to: Path, progress: Progress | None = None
) -> Source:
    """Open the pair of files, in either order. Everything is checked before the first recording is made.

    `unpack_to`: folder for temporary files, as large as the arrays.
    Raises UserError for files of another kind, missing entries, other joint counts, unknown subjects and
    arrays that do not fit together.
    """
    pair: dict[str, Path] = {}
    files = [Path(path) for path in (file, other) if path is not None]
    for path in files:
        held = npz_keys(path)
        kind = next((key for key in ("positions_3d", "positions_2d") if key in (held or [])), None)
        if kind is None:
            hint = "This looks like MPI-INF-3DHP: repose prepare mpi-inf-3dhp." if held == ["data"] else ""
            found = ", ".join(held) if held else "another kind of file"
            expected(str(path), "positions_3d or positions_2d of Human3.6M", found, hint)
        pair[kind] = path
    if len(pair) < 2:
        expected(
            "Human3.6M",
            "the pair data_3d_h36m.npz and data_2d_h36m_*.npz",
            " and ".join(path.name for path in files),
            "repose prepare human36m data_3d_h36m.npz data_2d_h36m_cpn_ft_h36m_dbb.npz -o STORE",
        )
    return _read_pair(pair["positions_3d"], pair["positions_2d"], unpack_to, progress)


def _read_pair(path_3d: Path, path_2d: Path, unpack_to: Path, progress: Progress | None) -> Source:
    if progress:
        progress("unpacking", 0, None)
    world = map_npz(path_3d, ("positions_3d",), unpack_to)
    seen = map_npz(path_2d, ("positions_2d", "metadata"), unpack_to)
    motions = _nested(f"{path_3d}: positions_3d", world.content["positions_3d"])
    detections = _nested(f"{path_2d}: positions_2d", seen.content["positions_2d"])
    layout = _layout(str(path_2d), seen.content.get("metadata"))
    total = cut = 0
    for subject, actions in motions.items():
        if subject not in _CAMERAS:
            expected(f"{path_3d}: subject", f"one of {', '.join(_CAMERAS)}", repr(subject))
        for action, joints in actions.items():
            where = f"{subject}, {action}"
            joints = numeric_array(f"{path_3d}: {where}", joints)
            if joints.shape[1:] != (len(_JOINTS_32), 3) or not len(joints):
                expected(f"{path_3d}: {where}", "(frames, 32 joints, 3)", joints.shape)
            views = detections.get(subject, {}).get(action)
            if views is None:
                expected(f"{path_2d}: {where}", "2D for every motion of the 3D file", "none")
            if len(views) != len(IMAGE_SIZES):
                expected(f"{path_2d}: {where}", f"{len(IMAGE_SIZES)} cameras", len(views))
            for camera, view in zip(IMAGE_SIZES, views, strict=True):
                view = numeric_array(f"{path_2d}: {where}, camera {camera}", view)
                if view.ndim != 3 or view.shape[1] != len(layout) or view.shape[2] not in (2, 3):
                    wanted = f"(frames, {len(layout)} joints, 2 or 3)"
                    expected(f"{path_2d}: {where}, camera {camera}", wanted, view.shape)
                if len(view) < len(joints):
                    expected(
                        f"{path_2d}: {where}, camera {camera}", f"{len(joints)} frames or more", len(view)
                    )
                total += len(joints)
                cut += len(view) - len(joints)
    notes = [f"metres in the camera frame; frames at {FPS:g} Hz"]
    if view.shape[2] == 2:
        notes.append("no confidence in the source, 1 everywhere")
    if cut:
        notes.append(f"{cut} detections after the end of a motion left out, as the papers do")
    if layout is not H36M_17:
        notes.append(f"2D joints converted from {layout.name}")
    if extra := sorted(set(detections) - set(motions)):
        notes.append(f"2D without 3D left out: {', '.join(extra)}")
    report = count_progress("storing frames", total, progress)

    def release() -> None:
        world.release()
        seen.release()

    splits = {}
    for split, subjects in (("train", TRAIN_SUBJECTS), ("test", TEST_SUBJECTS)):
        if here := {subject: motions[subject] for subject in subjects if subject in motions}:
            splits[split] = _views_of(here, detections, layout, release, report)
    return Source(
        dataset="human36m",
        skeleton="h36m-17",
        target="camera",
        licence=LICENCE,
        splits=splits,
        notes=tuple(notes),
    )


def _views_of(
    motions: Mapping[str, Mapping[str, np.ndarray]],
    detections: Mapping[str, Mapping[str, Any]],
    layout: Skeleton,
    release: Callable[[], None],
    report: Callable[[int], None],
) -> Iterator[Recording]:
    kept = [_JOINTS_32.index(joint) for joint in H36M_17.joints]
    for subject, actions in motions.items():
        for action, joints in actions.items():
            joints_world_m = joints[:, kept].astype(np.float64)
            views = detections[subject][action]
            for (camera, image_size), view, (orientation, position_mm) in zip(
                IMAGE_SIZES.items(), views, _CAMERAS[subject], strict=True
            ):
                R_world_cam = quaternion_to_matrix(np.array(orientation))
                points = np.asarray(view[: len(joints)], np.float32)
                confidence = points[..., 2] if points.shape[2] == 3 else np.ones(points.shape[:2], np.float32)
                points_px, confidence = convert(points[..., :2], confidence, layout, H36M_17)
                yield Recording(
                    name=f"{subject} {action} {camera}",
                    subject=subject,
                    action=action.split(" ")[0],
                    camera=camera,
                    image_size=image_size,
                    fps=FPS,
                    keypoints_px=np.concatenate([points_px, confidence[..., None]], axis=-1),
                    # Row vectors: the inverse of R_world_cam from the left is R_world_cam from the right.
                    target=((joints_world_m - np.array(position_mm) / 1000) @ R_world_cam).astype(np.float32),
                )
                report(len(joints))
            release()


def _layout(name: str, metadata: Any) -> Skeleton:
    """Return the 2D file's joints, told by which of them are left: papers call them by no common name."""
    try:
        left = sorted(metadata["keypoints_symmetry"][0])
        count = int(metadata["num_joints"])
    except (TypeError, KeyError, IndexError, ValueError):
        expected(name, "metadata with num_joints and keypoints_symmetry", "none")
    for skeleton in (H36M_17, SKELETONS["coco-17"]):
        if len(skeleton) == count and left == skeleton.side("left"):
            return skeleton
    expected(
        name,
        "2D detections of 17 joints in the order of Human3.6M or COCO",
        f"{count} joints ({metadata.get('layout_name', 'another layout')})",
        "Detections of 16 MPII joints cannot be converted; CPN and Detectron files can be used.",
    )


def _nested(name: str, content: Any) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        expected(name, "a dictionary of subjects and their actions", f"a {type(content).__name__}")
    return content
