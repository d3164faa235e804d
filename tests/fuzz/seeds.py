"""Sound files of a few frames, made by the project's own writers where it has them."""

import io
import json
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from repose.datasets.store import Recording, StoreInfo, write_store
from repose.export.bvh import write_bvh
from repose.export.results import write_poses
from repose.export.upright import to_world
from repose.fitting import refine
from repose.models import PoseModel, build, find_spec, save_checkpoint
from repose.pose import Pose2D, Pose3D
from repose.sample import load_sample_truth
from repose.skeleton import SKELETONS

FRAMES = 8

# Joint -> parent and offset in centimetres, y up, of a body that is all of a Mixamo skeleton.
_BODY = {
    "Hips": ("", (0, 100, 0)), "Spine": ("Hips", (0, 10, 1)), "Spine1": ("Spine", (0, 12, 0)),
    "Neck": ("Spine1", (0, 25, -2)), "Head": ("Neck", (0, 9, 3)), "HeadTop_End": ("Head", (0, 18, 1)),
    "LeftArm": ("Spine1", (17, 20, 0)), "LeftForeArm": ("LeftArm", (28, 0, 0)),
    "LeftHand": ("LeftForeArm", (24, 0, 0)), "RightArm": ("Spine1", (-16, 21, 0)),
    "RightForeArm": ("RightArm", (0, -29, 0)), "RightHand": ("RightForeArm", (0, -5, 23)),
    "LeftUpLeg": ("Hips", (9, -4, 0)), "LeftLeg": ("LeftUpLeg", (0, -42, 0)), "LeftFoot": ("LeftLeg", (0,
    -41, -3)),
    "RightUpLeg": ("Hips", (-11, -6, 0)), "RightLeg": ("RightUpLeg", (0, 0, 43)),
    "RightFoot": ("RightLeg", (0, -40, 0)),
}  # fmt: skip
# The same in the words of the CMU database.
_BONES = {
    "lhipjoint": ("root", (9, -4, 0)), "lfemur": ("lhipjoint", (0, -42, 0)), "ltibia": ("lfemur", (0, -41,
    -3)),
    "rhipjoint": ("root", (-11, -6, 0)), "rfemur": ("rhipjoint", (0, 0, 43)), "rtibia": ("rfemur", (0, -40,
    0)),
    "lowerback": ("root", (0, 10, 1)), "upperback": ("lowerback", (0, 12, 0)), "thorax": ("upperback", (0,
    25, -2)),
    "upperneck": ("thorax", (0, 9, 3)), "head": ("upperneck", (0, 18, 1)), "lclavicle": ("upperback", (17,
    20, 0)),
    "lhumerus": ("lclavicle", (28, 0, 0)), "lradius": ("lhumerus", (22, 0, 0)), "lwrist": ("lradius", (4,
    0, 0)),
    "rclavicle": ("upperback", (-16, 21, 0)), "rhumerus": ("rclavicle", (0, -29, 0)),
    "rradius": ("rhumerus", (0, -5, 22)), "rwrist": ("rradius", (0, 0, 2)),
}  # fmt: skip


# Keypoints --------------------------------------------------------------------------------------------------


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


def mmpose() -> bytes:
    def instance(row: np.ndarray) -> dict[str, Any]:
        return {
            "keypoints": row[:, :2].tolist(),
            "keypoint_scores": row[:, 2].tolist(),
            "bbox": [[0, 0, 9, 9]],
        }

    frames = enumerate(person("coco-17"), start=1)
    return dumped(
        {
            "meta_info": {"dataset_name": "coco"},
            "instance_info": [{"frame_id": i, "instances": [instance(row)]} for i, row in frames],
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


# Results ----------------------------------------------------------------------------------------------------


def pose(track_id: int = 0) -> Pose3D:
    truth = load_sample_truth().pose()
    rows = {
        name: getattr(truth, name)[:FRAMES]
        for name in ("joints_m", "seen", "frames", "times_s", "confidence", "points_px")
    }
    record = {
        "assumed": ["fps", "height"], "frames_filled": 0, "gaps_left_empty": [[3, 4]], "video": "walk.mp4",
        "detector": "mediapipe", "swaps_undone": {"legs": [[2, 3]]}, "frames_lost_in_file": [5],
    }  # fmt: skip
    deviation = np.full(rows["seen"].shape, 0.05, np.float32)
    return replace(
        truth,
        **rows,
        deviation_m=deviation,
        record=record,
        track_id=track_id,
        model="default",
        T_cam_world=None,
    )


def result(*poses: Pose3D) -> bytes:
    with _folder() as folder:
        write_poses(poses, folder / "result")
        return (folder / "result" / "poses.npz").read_bytes()


def refined() -> Pose3D:
    return refine([pose()])[0]


# Motion capture ---------------------------------------------------------------------------------------------


def bvh() -> bytes:
    """A Mixamo body with three channels a joint."""

    def block(name: str, indent: str) -> str:
        parent, offset = _BODY[name]
        channels = (
            "6 Xposition Yposition Zposition" if not parent else "3"
        ) + " Zrotation Xrotation Yrotation"
        inner = "".join(block(child, indent + " ") for child, (above, _) in _BODY.items() if above == name)
        inner = inner or f"{indent} End Site\n{indent} {{\n{indent} OFFSET 0 5 0\n{indent} }}\n"
        return (
            f"{indent}{'JOINT' if parent else 'ROOT'} mixamorig:{name}\n{indent}{{\n"
            f"{indent} OFFSET {' '.join(map(str, offset))}\n{indent} CHANNELS {channels}\n{inner}{indent}}}\n"
        )

    frames = "\n".join(" ".join(str(i % 7 + frame) for i in range(3 * len(_BODY) + 3)) for frame in range(3))
    return f"HIERARCHY\n{block('Hips', '')}MOTION\nFrames: 3\nFrame Time: 0.0333333\n{frames}\n".encode()


def own_bvh() -> bytes:
    with _folder() as folder:
        write_bvh(to_world([pose()])[0], folder / "walk.bvh")
        return (folder / "walk.bvh").read_bytes()


def asf() -> bytes:
    lines = [":version 1.10", ":name body", ":units", "mass 1.0", "length 2.54", "angle deg", ":root"]
    lines += ["order TX TY TZ RX RY RZ", "axis XYZ", "position 0 0 0", "orientation 0 0 0", ":bonedata"]
    for number, (name, (_, offset)) in enumerate(_BONES.items()):
        turns = ["dof rx ry rz", "limits (-90 90)", "(-90 90)", "(-90 90)"] if name == "lfemur" else []
        direction = " ".join(map(str, offset))
        lines += ["begin", f"id {number}", f"name {name}", f"direction {direction}", "length 1"]
        lines += ["axis 0 0 20 XYZ", *turns, "end"]
    lines += [":hierarchy", "begin", *(f"{parent} {name}" for name, (parent, _) in _BONES.items()), "end"]
    return "\n".join(lines).encode()


def amc() -> bytes:
    frames = [f"{frame}\nroot 0 100 {frame} 0 0 0\nlfemur 1 2 {frame}\n" for frame in range(1, 5)]
    return f"#!OML:ASF body.asf\n:FULLY-SPECIFIED\n:DEGREES\n{''.join(frames)}".encode()


# Data sets --------------------------------------------------------------------------------------------------


def human36m() -> bytes:
    def part(subject: int, truth: bool) -> dict[str, Any]:
        rng = np.random.default_rng(subject)
        names = [f"s_{subject:02d}_act_02_subact_01_ca_0{i // 4 + 1}" for i in range(8)]
        cameras = np.repeat(["54138969", "55011271"], 4)
        values: dict[str, Any] = {
            "joint_2d": rng.uniform(100, 900, (8, 17, 2)).astype(np.float32), "confidence": np.ones((8, 17,
            1)),
            "joint3d_image": rng.uniform(100, 900, (8, 17, 3)), "camera_name": cameras, "source": names,
            "action": ["Directions"] * 8,
        }  # fmt: skip
        if truth:
            values |= {"joints_2.5d_image": values["joint3d_image"] * 4, "2.5d_factor": np.full(8, 4.0)}
        return values

    return pickle.dumps({"train": part(1, False), "test": part(9, True)})


def videopose_3d() -> bytes:
    motion = np.random.default_rng(0).uniform(-1, 1, (4, 32, 3)).astype(np.float32)
    return npz(positions_3d=_wrapped({"S1": {"Walking 1": motion}, "S9": {"Walking": motion}}))


def videopose_2d() -> bytes:
    views = [np.random.default_rng(i).uniform(0, 1000, (5, 17, 2)) for i in range(4)]
    symmetry = [SKELETONS["h36m-17"].side(side) for side in ("left", "right")]
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": symmetry}
    content = {"S1": {"Walking 1": views}, "S9": {"Walking": views}}
    return npz(positions_2d=_wrapped(content), metadata=_wrapped(metadata))


def videopose_custom() -> bytes:
    symmetry = [SKELETONS["coco-17"].side(side) for side in ("left", "right")]
    metadata = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": symmetry,
                "video_metadata": {"clip": {"w": 854, "h": 480, "fps": 30.0}}}  # fmt: skip
    content = {"clip": {"custom": [person("coco-17")[..., :2]]}}
    return npz(positions_2d=_wrapped(content), metadata=_wrapped(metadata))


def mpi_inf_3dhp(split: str) -> bytes:
    rng = np.random.default_rng(0)
    view = {"data_2d": rng.uniform(0, 2000, (4, 17, 2)), "data_3d": rng.normal(0, 500, (4, 17, 3))}
    if split == "train":
        return npz(data=_wrapped({"S1 Seq2": [{"0": view, "7": view}, 50], "S8 Seq1": [{"2": view}, 25]}))
    return npz(data=_wrapped({"TS1": {**view, "valid": np.array([1, 0, 1, 1])}}))


def mat() -> bytes:
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    content: dict[str, Any] = {"cameras": np.arange(14)[None]}
    for name, axes in (("annot2", 2), ("univ_annot3", 3)):
        content[name] = np.empty((14, 1), dtype=object)
        for camera in range(14):
            content[name][camera, 0] = rng.normal(size=(2, 28 * axes)) * 100
    buffer = io.BytesIO()
    savemat(buffer, content)
    return buffer.getvalue()


def benchmark_truth() -> bytes:
    joints = [f"{side}_{part}" for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
              for side in ("right", "left")]  # fmt: skip
    K, R = np.array([[900.0, 0, 500], [0, 900, 500], [0, 0, 1]]), np.eye(3)[[0, 2, 1]]
    places = np.random.default_rng(0).normal(0, 0.4, (FRAMES, 12, 3))
    return npz(joints_m=places, joint_names=np.array(joints), fps=np.float32(30), valid=np.arange(FRAMES) > 0,
               a_K=K, a_dist=np.zeros(4), a_R=R, a_t=np.array([0.1, 0.2, 4.0]))  # fmt: skip


def mediapipe_arrays() -> bytes:
    rng = np.random.default_rng(0)
    return npz(xy_px=rng.uniform(0, 1000, (FRAMES, 33, 2)), world_m=rng.normal(size=(FRAMES, 33, 3)),
               visibility=np.ones((FRAMES, 33)), detected=np.ones(FRAMES, bool), size=np.array([1000, 1000]),
               fps=np.float32(30))  # fmt: skip


def store(folder: Path) -> None:
    """A clip store, as `repose prepare` makes it."""

    def recording(name: str, optional: dict[str, np.ndarray]) -> Recording:
        rng = np.random.default_rng(0)
        keypoints = rng.uniform(100, 900, (12, 17, 3)).astype(np.float32)
        keypoints[..., 2] = 0.9
        target = rng.normal(size=(12, 17, 3)).astype(np.float32)
        return Recording(name, "S1", "Walking", "c", (1000, 1002), 50.0, keypoints, target, optional)

    truth = {"truth_mm": np.ones((12, 17, 3)), "factor": np.full(12, 4.0), "valid": np.arange(12) > 2}
    info = StoreInfo("sample", "h36m-17", "image", "none", notes=("a note",))
    write_store(
        folder, info, {"train": [recording("a", {}), recording("b", {})], "test": [recording("c", truth)]}
    )


# Models and runs --------------------------------------------------------------------------------------------


@cache
def model() -> PoseModel:
    """A network of our own, so small that lifting with it takes no time."""
    torch.manual_seed(0)
    spec = find_spec("frameformer").with_config(width=16, depth=1, heads=2)
    return build(replace(spec, window_frames=32)).eval()


def safetensors() -> bytes:
    with _folder() as folder:
        save_checkpoint(folder / "model.safetensors", model(), model().spec)
        return (folder / "model.safetensors").read_bytes()


def torch_checkpoint(legacy: bool = False) -> bytes:
    """A file of a training program; tensors of no model known here, and few."""
    tensors = {f"module.{name}": tensor for name, tensor in list(model().state_dict().items())[:4]}
    content = {"epoch": 60, "lr": 2e-4, "model_pos": tensors, "min_loss": 41.5, "notes": ["a", {"b": None}]}
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def state() -> bytes:
    """What a run resumes from."""
    optimizer = torch.optim.AdamW(model().parameters())
    buffer = io.BytesIO()
    torch.save(
        {"model": model().state_dict(), "optimizer": optimizer.state_dict(), "step": 7, "best": 50.5}, buffer
    )
    return buffer.getvalue()


def run_config() -> bytes:
    from repose.training.loop import TrainConfig
    from repose.training.run_folder import as_json, versions

    return dumped({"config": as_json(TrainConfig()), "versions": versions(), "command": ["repose", "train"]})


def run_scores() -> bytes:
    rows = ({"step": step, "mpjpe_mm": 90.0 / step, "p_mpjpe_mm": 60.0 / step} for step in (1, 2, 3))
    return b"".join(dumped(row) + b"\n" for row in rows)


# Videos -----------------------------------------------------------------------------------------------------


def video(suffix: str, codec: str = "libx264", b_frames: int = 0) -> bytes:
    """Six pictures of 64 × 48 in a container, the same bytes each time."""
    with _folder() as folder:
        path = folder / f"clip{suffix}"
        options = {"fflags": "+bitexact", **({"movflags": "faststart"} if suffix in (".mp4", ".mov") else {})}
        with av.open(str(path), "w", options=options) as container:
            stream = container.add_stream(codec, rate=30)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.max_b_frames = b_frames
            for number in range(6):
                picture = np.full((48, 64, 3), 40 * number, np.uint8)
                picture[8 + number : 20 + number, 20:40] = (255, 30, 9)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        return path.read_bytes()


def dumped(content: Any) -> bytes:
    return json.dumps(content).encode()


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def quietly(make: Callable[[], bytes]) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _wrapped(content: dict[str, Any]) -> np.ndarray:
    array = np.empty((), dtype=object)
    array[()] = content
    return array
