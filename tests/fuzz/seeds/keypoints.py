"""Files of 2D keypoints."""

import io
from functools import cache
from typing import Any

import numpy as np

from repose.pose import Pose2D
from repose.sample import load_sample_truth
from repose.skeleton import SKELETONS

from .packing import dumped, npz, wrapped

FRAMES = 8


@cache
def person(layout: str, shift_px: float = 0.0) -> np.ndarray:
    """(frames, joints, 3): the sample's person; joints that the sample lacks lie beside others."""
    truth = load_sample_truth()
    known = dict(zip(truth.skeleton.joints, truth.points_px[:FRAMES].swapaxes(0, 1), strict=True))
    near = {"toe": "ankle", "heel": "ankle", "pinky": "wrist", "index": "wrist", "thumb": "wrist"}
    joints = []
    for number, joint in enumerate(SKELETONS[layout].joints):
        part = joint.rpartition("_")[2]
        other = next((f"{joint.partition('_')[0]}_{to}" for end, to in near.items() if part == end), "nose")
        offset = 0 if joint in known else 3 + number % 5
        place = known.get(joint, known.get(other, known["nose"]))
        joints.append(place + np.array([shift_px + offset, -offset]))
    points = np.stack(joints, axis=1)
    confidence = np.full((*points.shape[:2], 1), 0.8) - 0.02 * np.arange(FRAMES)[:, None, None]
    return np.concatenate([points, confidence], axis=-1).round(3)


def coco_rows(layout: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"image_id": frame, "category_id": 1, "keypoints": row.ravel().tolist(), "score": 0.9, **more}
        for frame, row in enumerate(person(layout))
    ]


def alphapose() -> bytes:
    people = [person("halpe-26"), person("halpe-26", 180.0)]
    return dumped(
        [
            {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": body[frame].ravel().tolist(),
             "score": 2.1, "box": [0, 0, 9, 9], "idx": number}
            for frame in range(FRAMES) for number, body in enumerate(people)
        ]
    )  # fmt: skip


def alphapose_cmu() -> bytes:
    frames = person("coco-18")
    return dumped(
        {
            f"{i}.jpg": {"version": "AlphaPose v0.3", "bodies": [{"joints": row.ravel().tolist()}]}
            for i, row in enumerate(frames)
        }
    )


def coco_annotations() -> bytes:
    images = [{"id": i, "file_name": f"img_{i:06d}.png", "width": 854, "height": 480} for i in range(FRAMES)]
    return dumped({"images": images, "annotations": coco_rows("coco-17", track_id=4), "categories": []})


def _instance(row: np.ndarray) -> dict[str, Any]:
    scores = row[:, 2].tolist()
    return {"keypoints": row[:, :2].tolist(), "keypoint_scores": scores, "bbox": [[0, 0, 9, 9]]}


def mmpose_frame(frame: int = 0) -> bytes:
    return dumped([_instance(person("coco-17")[frame])])


def mmpose() -> bytes:
    frames = enumerate(person("coco-17"), start=1)
    return dumped(
        {
            "meta_info": {"dataset_name": "coco"},
            "instance_info": [{"frame_id": i, "instances": [_instance(row)]} for i, row in frames],
        }
    )


def ultralytics() -> bytes:
    return dumped(
        [
            [{"name": "person", "class": 0, "confidence": 0.9, "box": {"x1": 0, "y1": 0, "x2": 9, "y2": 9},
              "track_id": 4, "keypoints": dict(zip(("x", "y", "visible"), row.T.tolist(), strict=True))}]
            for row in person("coco-17")
        ]
    )  # fmt: skip


def openpose_frame(frame: int = 0, layout: str = "body-25") -> bytes:
    body = person(layout)[frame].ravel().tolist()
    people = [{"person_id": [-1], "pose_keypoints_2d": body, "face_keypoints_2d": []}]
    return dumped({"version": 1.3, "people": people})


def keypoint_arrays() -> dict[str, Any]:
    rows = person("h36m-17")
    return {
        "points_px": rows[..., :2], "confidence": rows[..., 2], "frames": np.arange(FRAMES), "fps": 30.0,
        "times_s": np.arange(FRAMES) / 30, "track_id": np.zeros(FRAMES, int), "image_size": np.array([854,
        480]),
        "skeleton": np.array("h36m-17"), "source": np.array("a detector"),
    }  # fmt: skip


def track() -> Pose2D:
    rows = person("h36m-17")
    return Pose2D(rows[..., :2], rows[..., 2], np.arange(FRAMES), 30.0, (854, 480), "h36m-17")


def videopose_custom() -> bytes:
    symmetry = [SKELETONS["coco-17"].side(side) for side in ("left", "right")]
    metadata = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": symmetry,
                "video_metadata": {"clip": {"w": 854, "h": 480, "fps": 30.0}}}  # fmt: skip
    content = {"clip": {"custom": [person("coco-17")[..., :2]]}}
    return npz(positions_2d=wrapped(content), metadata=wrapped(metadata))


# Tables whose joints have names -----------------------------------------------------------------------------


def _named(shift_px: float = 0.0) -> tuple[list[str], np.ndarray]:
    """Names of joints, and (frames, joints, 3)."""
    return list(SKELETONS["coco-17"].joints), person("coco-17", shift_px)


def deeplabcut(people: int) -> bytes:
    names, _ = _named()
    axes = ("x", "y", "likelihood")
    columns = [(f"p{who}", part, axis) for who in range(people) for part in names for axis in axes]
    rows = [["scorer", *["DLC_resnet50"] * len(columns)]]
    if people > 1:
        rows.append(["individuals", *(who for who, _, _ in columns)])
    rows += [["bodyparts", *(part for _, part, _ in columns)], ["coords", *(axis for _, _, axis in columns)]]
    bodies = [_named(200.0 * who)[1].reshape(FRAMES, -1) for who in range(people)]
    rows += [[str(frame), *map(str, row)] for frame, row in enumerate(np.hstack(bodies).tolist())]
    return "\n".join(",".join(row) for row in rows).encode()


def sleap_csv() -> bytes:
    names, body = _named()
    titles = [f"{part}.{value}" for part in names for value in ("x", "y", "score")]
    rows = [["track", "frame_idx", "instance.score", *titles]]
    for frame, row in enumerate(body.reshape(FRAMES, -1).tolist()):
        rows.append(["walker", str(frame), "0.9", *map(str, row)])
    return "\n".join(",".join(row) for row in rows).encode()


def sleap_h5() -> bytes:
    import h5py

    names, body = _named()
    both = np.stack([body, _named(200.0)[1]])  # (tracks, frames, nodes, values)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("tracks", data=both[..., :2].transpose(0, 3, 2, 1), compression="gzip")
        file["point_scores"] = both[..., 2].transpose(0, 2, 1)
        file["node_names"] = np.array([name.encode() for name in names])
        file["track_names"] = np.array([b"a", b"b"])
    return buffer.getvalue()


def sports2d() -> bytes:
    """A TRC in pixels."""
    names, body = _named()
    lines = [
        "PathFileType\t4\t(X/Y/Z)\tclip_px_person00.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"50\t50\t{FRAMES}\t{len(names)}\tm\t50\t0\t{FRAMES}",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{number}" for number in range(1, len(names) + 1) for axis in "XYZ"),
    ]
    flat = np.concatenate([body[..., :2], np.zeros((FRAMES, len(names), 1))], axis=-1).reshape(FRAMES, -1)
    lines += ["\t".join(map(str, [frame, frame / 50, *row])) for frame, row in enumerate(flat.tolist())]
    return "\n".join(lines).encode()


def label(frame: int, track: bool = True) -> bytes:
    """A line of Ultralytics' `save_txt`."""
    shares = person("coco-17")[frame] / [854, 480, 1]
    numbers = [0, 0.5, 0.5, 0.2, 0.4, *shares.ravel(), *((0.9, 3) if track else ())]
    return " ".join(f"{number:g}" for number in numbers).encode()
