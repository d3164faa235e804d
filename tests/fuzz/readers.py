"""Every reader: sound files to damage, and what is done with a file that it accepts (`uses`)."""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from repose.datasets.prepare import prepare_human36m

from . import containers, mutation, planted, uses
from .seeds import calibrations, datasets, keypoints, mocap, models, packing, results, videos

Seed = tuple[mutation.Mutator, Callable[[], bytes]]


@dataclass(frozen=True)
class Reader:
    file: str
    """Name of the damaged file in its folder."""
    seeds: tuple[Seed, ...]
    """Sound files, and who damages them."""
    use: uses.Use
    """Reads the damaged file and works with what it holds."""
    beside: Callable[[Path], None] = lambda folder: None
    """Writes what else has to be in the folder."""

    def place(self, folder: Path, data: bytes) -> Path:
        """The folder with this content in the place of the sound file; returns the file."""
        self.beside(folder)
        path = folder / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


def _write(name: str, make: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(make()) and None


def _frames(folder: Path) -> None:
    for frame in range(1, 3):
        (folder / f"run_{frame:06d}_keypoints.json").write_bytes(keypoints.openpose_frame(frame))


def _labels(folder: Path) -> None:
    (folder / "labels").mkdir()
    for frame in range(1, 4):
        (folder / "labels" / f"clip_{frame}.txt").write_bytes(keypoints.label(frame))


def _batch(folder: Path) -> None:
    (folder / "batch.json").write_bytes(results.batch_about())
    (folder / ".running").mkdir()


def _batch_row(folder: Path) -> None:
    _batch(folder)
    (folder / "videos").mkdir()
    (folder / "videos" / "walk-1.json").write_bytes(results.batch_row())


def _covered(folder: Path) -> None:
    (folder / "gt_one.npz").write_bytes(datasets.benchmark_truth())
    (folder / "mediapipe_a_occluded.npz").write_bytes(datasets.mediapipe_arrays())


def _bodies(folder: Path) -> None:
    for name, make in (
        ("amass/CMU/01/01_poses.npz", datasets.body_motion),
        ("models/smplh/female/model.npz", datasets.body_model),
        ("models/dmpls/female/model.npz", datasets.soft_tissue),
        ("models/regressor.npy", datasets.regressor),
        ("models/smpl/female/model.npz", datasets.small_body),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(make())


def _dances(folder: Path) -> None:
    for name, content in (
        (f"keypoints2d/{datasets.DANCE}.pkl", datasets.aist_2d()),
        (f"keypoints3d/{datasets.DANCE}.pkl", datasets.aist_3d()),
        ("cameras/setting1.json", datasets.aist_cameras()),
        ("cameras/mapping.txt", datasets.aist_mapping()),
        ("splits/pose_test.txt", datasets.DANCE.encode()),
    ):
        (folder / "aist++" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "aist++" / name).write_bytes(content)


BLENDS = {
    "positions_3d": "D3_Positions/Waving/Waving.npz",
    "2d": "D2_Positions/Waving/2D_positions.npz",
    "flags": "Occlusions/Waving/occluded_kpt.npz",
    "RT": "Cameras/matrices_S1.npz",
}


def _blends(folder: Path) -> None:
    for key, name in BLENDS.items():
        (folder / "blendmimic3d/S1" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "blendmimic3d/S1" / name).write_bytes(datasets.blendmimic3d(key))


def _tracks(folder: Path) -> None:
    (folder / "tracks").mkdir()
    (folder / "tracks" / "id_all.npy").write_bytes(datasets.instavariety_tracks())


def _in_store(file: str, mutator: mutation.Mutator) -> Reader:
    def make() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            datasets.store(Path(folder) / "store")
            return (Path(folder) / file).read_bytes()

    return Reader(
        file,
        ((mutator, make), (mutation.of_bytes, make)),
        uses.use_store,
        lambda f: datasets.store(f / "store"),
    )


def _seeds(mutator: mutation.Mutator, *makes: Callable[[], bytes]) -> tuple[Seed, ...]:
    """Each file damaged in its own terms three times as often as byte by byte."""
    return tuple((kind, make) for make in makes for kind in (mutator, mutator, mutator, mutation.of_bytes))


def _videos() -> Iterable[tuple[str, Reader]]:
    for suffix, codec, b_frames in (
        (".mp4", "libx264", 2), (".mov", "mpeg4", 0), (".mkv", "libx264", 2), (".avi", "mpeg4", 0),
        (".webm", "libvpx", 0),
    ):  # fmt: skip
        make = partial(packing.quietly, partial(videos.video, suffix, codec, b_frames))
        yield f"video-{suffix[1:]}", Reader(f"clip{suffix}", ((mutation.of_bytes, make),), uses.use_video)


READERS: dict[str, Reader] = {
    "keypoints-json": Reader(
        "keypoints.json",
        _seeds(
            mutation.of_json,
            keypoints.alphapose,
            keypoints.alphapose_cmu,
            lambda: packing.dumped(keypoints.coco_rows("coco-17")),
            lambda: packing.dumped(keypoints.coco_rows("mediapipe-33", track_id=2)),
            keypoints.coco_annotations,
            keypoints.mmpose,
            keypoints.openpose_frame,
            keypoints.ultralytics,
        ),
        uses.lift_keypoints,
    ),
    "keypoints-folder": Reader(
        "run_000000_keypoints.json",
        _seeds(mutation.of_json, keypoints.openpose_frame),
        uses.lift_keypoint_folder,
        _frames,
    ),
    "keypoints-frames": Reader(
        "000000.json",
        _seeds(mutation.of_json, keypoints.mmpose_frame),
        uses.lift_keypoint_folder,
        _write("000001.json", partial(keypoints.mmpose_frame, 1)),
    ),
    "keypoints-npz": Reader(
        "keypoints.npz",
        _seeds(
            containers.of_npz,
            lambda: packing.npz(**keypoints.keypoint_arrays()),
            lambda: packing.npz(
                points=np.stack([keypoints.person("coco-17"), keypoints.person("coco-17", 90.0)])
            ),
            keypoints.videopose_custom,
        ),
        uses.lift_keypoints,
    ),
    "keypoints-npy": Reader(
        "keypoints.npy",
        _seeds(containers.of_npy, lambda: packing.npy(keypoints.person("h36m-17"))),
        uses.lift_keypoints,
    ),
    "keypoints-table": Reader(
        "keypoints.csv",
        _seeds(
            mutation.of_table(","),
            partial(keypoints.deeplabcut, 1),
            partial(keypoints.deeplabcut, 2),
            keypoints.sleap_csv,
        ),
        uses.lift_keypoints,
    ),
    "keypoints-trc": Reader(
        "walk_px.trc", _seeds(mutation.of_table("\t"), keypoints.sports2d), uses.lift_keypoints
    ),
    "keypoints-h5": Reader(
        "walk.analysis.h5", _seeds(containers.of_h5, keypoints.sleap_h5), uses.lift_keypoints
    ),
    "keypoints-labels": Reader(
        "labels/clip_0.txt",
        _seeds(mutation.of_table(" "), partial(keypoints.label, 0)),
        uses.lift_labels,
        _labels,
    ),
    "result": Reader(
        "poses.npz",
        _seeds(
            containers.of_npz,
            lambda: results.result(results.pose()),
            lambda: results.result(results.pose(), results.pose(3)),
            lambda: results.result(results.refined()),
        ),
        uses.use_result,
    ),
    "calibration": Reader(
        "calibration.yml",
        _seeds(mutation.of_text, *(partial(calibrations.file, kind) for kind in calibrations.FILES)),
        uses.use_calibration,
    ),
    "batch-poses": Reader("walk-1.parquet", ((mutation.of_bytes, results.batch_poses),), uses.use_result),
    "batch-row": Reader(
        "videos/walk-1.json", _seeds(mutation.of_json, results.batch_row), uses.use_batch, _batch
    ),
    "batch-about": Reader(
        "batch.json", _seeds(mutation.of_json, results.batch_about), uses.use_batch, _batch_row
    ),
    "video-table": Reader(
        "videos.csv", _seeds(mutation.of_table(","), results.video_table), uses.use_video_table
    ),
    "video-table-parquet": Reader(
        "videos.parquet", ((mutation.of_bytes, results.video_table_parquet),), uses.use_video_table
    ),
    "bvh": Reader("walk.bvh", _seeds(mutation.of_text, mocap.bvh, mocap.own_bvh), uses.use_bvh),
    "asf": Reader(
        "01.asf", _seeds(mutation.of_text, mocap.asf), uses.use_mocap_folder, _write("01_01.amc", mocap.amc)
    ),
    "amc": Reader(
        "01_01.amc", _seeds(mutation.of_text, mocap.amc), uses.use_mocap, _write("01.asf", mocap.asf)
    ),
    "mocap-npz": Reader(
        "walk.npz",
        _seeds(containers.of_npz, mocap.joints_npz),
        uses.use_mocap,
    ),
    "ui-prmd": Reader("markers.npz", _seeds(containers.of_npz, mocap.ui_prmd), uses.use_mocap),
    "mocap-trc": Reader("walk.trc", _seeds(mutation.of_table("\t"), mocap.trc), uses.use_mocap),
    "c3d": Reader("walk.c3d", ((mutation.of_bytes, mocap.c3d),), uses.use_mocap),
    "joint-map": Reader(
        "map.json",
        _seeds(mutation.of_json, mocap.joint_map),
        uses.use_joint_map,
        _write("walk.bvh", mocap.bvh),
    ),
    "human36m-pickle": Reader(
        "h36m.pkl", _seeds(containers.of_pickle, datasets.human36m), uses.preparing(prepare_human36m)
    ),
    "human36m-3d": Reader(
        "data_3d_h36m.npz",
        _seeds(containers.of_npz, datasets.videopose_3d),
        uses.preparing(prepare_human36m, "data_2d.npz"),
        _write("data_2d.npz", datasets.videopose_2d),
    ),
    "human36m-2d": Reader(
        "data_2d_h36m.npz",
        _seeds(containers.of_npz, datasets.videopose_2d),
        uses.preparing(prepare_human36m, "data_3d.npz"),
        _write("data_3d.npz", datasets.videopose_3d),
    ),
    "mpi-inf-3dhp": Reader(
        "data_3dhp.npz",
        _seeds(
            containers.of_npz, partial(datasets.mpi_inf_3dhp, "train"), partial(datasets.mpi_inf_3dhp, "test")
        ),
        uses.prepare_mpi,
    ),
    "mpi-inf-3dhp-mat": Reader(
        "S3/Seq2/annot.mat", ((mutation.of_bytes, datasets.mat),), uses.prepare_original_mpi
    ),
    "mpi-inf-3dhp-h5": Reader(
        "TS1/annot_data.mat", _seeds(containers.of_h5, datasets.mpi_test), uses.prepare_test_mpi
    ),
    "body-motion": Reader(
        "amass/CMU/01/01_poses.npz",
        _seeds(containers.of_npz, datasets.body_motion),
        uses.preparing_folder("amass", 3, body_models="models", regressor="models/regressor.npy"),
        _bodies,
    ),
    "body-model": Reader(
        "models/smplh/female/model.npz",
        _seeds(containers.of_npz, datasets.body_model),
        uses.preparing_folder("amass", 3, body_models="models", regressor="models/regressor.npy"),
        _bodies,
    ),
    "body-soft-tissue": Reader(
        "models/dmpls/female/model.npz",
        _seeds(containers.of_npz, datasets.soft_tissue),
        uses.preparing_folder("amass", 3, body_models="models", regressor="models/regressor.npy"),
        _bodies,
    ),
    "body-regressor": Reader(
        "models/regressor.npy",
        _seeds(containers.of_npy, datasets.regressor),
        uses.preparing_folder("amass", 1, body_models="models", regressor="models/regressor.npy"),
        _bodies,
    ),
    "3dpw": Reader(
        "3dpw/sequenceFiles/test/downtown_stairs_00.pkl",
        _seeds(containers.of_pickle, partial(datasets.threedpw, 2), partial(datasets.threedpw, 0)),
        uses.preparing_folder("3dpw", 3, body_models="models", regressor="models/regressor.npy"),
        _bodies,
    ),
    **{
        f"aist-{name}": Reader(
            f"aist++/{file}", _seeds(mutator, make), uses.preparing_folder("aist++", 2), _dances
        )
        for name, file, mutator, make in (
            ("2d", f"keypoints2d/{datasets.DANCE}.pkl", containers.of_pickle, datasets.aist_2d),
            ("3d", f"keypoints3d/{datasets.DANCE}.pkl", containers.of_pickle, datasets.aist_3d),
            ("cameras", "cameras/setting1.json", mutation.of_json, datasets.aist_cameras),
            ("mapping", "cameras/mapping.txt", mutation.of_text, datasets.aist_mapping),
        )
    },
    **{
        f"blendmimic3d-{key}": Reader(
            f"blendmimic3d/S1/{file}",
            _seeds(containers.of_npz, partial(datasets.blendmimic3d, key)),
            uses.preparing_folder("blendmimic3d", file.count("/") + 2),
            _blends,
        )
        for key, file in BLENDS.items()
    },
    "posetrack18": Reader(
        "train/1.json",
        _seeds(mutation.of_json, datasets.posetrack18),
        uses.preparing_folder("posetrack18", 1, inside="train"),
    ),
    "instavariety": Reader(
        "tracks/walking/0/1/1.json",
        _seeds(mutation.of_json, datasets.instavariety_frame),
        uses.preparing_folder("instavariety", 4, inside="tracks"),
    ),
    "instavariety-joined": Reader(
        "tracks/motion_all.npy",
        _seeds(containers.of_npy, datasets.instavariety_joined),
        uses.preparing_folder("instavariety", 1, inside="tracks"),
        _tracks,
    ),
    "benchmark-truth": Reader(
        "gt_one.npz",
        _seeds(containers.of_npz, datasets.benchmark_truth),
        uses.use_benchmark,
        _write("mediapipe_a.npz", datasets.mediapipe_arrays),
    ),
    "benchmark-stored": Reader(
        "mediapipe_a.npz",
        _seeds(containers.of_npz, datasets.mediapipe_arrays),
        uses.use_benchmark,
        _write("gt_one.npz", datasets.benchmark_truth),
    ),
    "benchmark-hidden": Reader(
        "a_occlusion.npz",
        _seeds(containers.of_npz, datasets.hidden_joints),
        uses.use_benchmark,
        _covered,
    ),
    "store-manifest": _in_store("store/manifest.json", mutation.of_json),
    "store-array": _in_store("store/test/keypoints_norm.npy", containers.of_npy),
    "safetensors": Reader(
        "model.safetensors",
        _seeds(containers.of_safetensors, models.foreign_safetensors, models.safetensors),
        uses.use_checkpoint,
    ),
    "torch": Reader(
        "model.bin",
        _seeds(containers.of_torch, models.torch_checkpoint, models.published_checkpoint),
        uses.use_checkpoint,
    ),
    "torch-legacy": Reader(
        "model.pth",
        ((mutation.of_bytes, partial(models.torch_checkpoint, legacy=True)),),
        uses.use_checkpoint,
    ),
    "onnx": Reader("model.onnx", ((mutation.of_bytes, models.onnx_model),), uses.use_onnx),
    "run-state": Reader("state.pt", _seeds(containers.of_torch, models.state), uses.use_state),
    "run-config": Reader(
        "config.json",
        _seeds(mutation.of_json, models.run_config),
        uses.use_run_folder,
        _write("validation.jsonl", models.run_scores),
    ),
    "run-scores": Reader(
        "validation.jsonl",
        _seeds(mutation.of_json_lines, models.run_scores),
        uses.use_run_folder,
        _write("config.json", models.run_config),
    ),
    **dict(_videos()),
}

# Readers that go wrong, to see that each way is noticed.
PLANTED = {
    name: Reader("any", ((mutation.of_bytes, lambda: b"sound"),), use) for name, use in planted.WRONG.items()
}


def find(name: str) -> Reader:
    return {**READERS, **PLANTED}[name]
