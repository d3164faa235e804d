"""Every reader: sound files to damage, and what is done with a file that it accepts.

What comes out of a reader goes where users send it (lifting, refining, exporting, tables, the page), because
a number that was let in does its damage there. Only one of the ways is taken for each file, by its content.
"""

import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from zlib import crc32

import numpy as np
import torch

from repose.angles import joint_angles
from repose.cli.poses import summarise
from repose.cli.refine import summarise_refined
from repose.datasets.doctor import examine
from repose.datasets.prepare import prepare_human36m, prepare_mpi_inf_3dhp
from repose.datasets.store import ClipStore
from repose.evaluation.video_benchmark import benchmark_video
from repose.export.angles import write_angles
from repose.export.formats import export_opensim, export_poses
from repose.export.results import read_poses, write_poses
from repose.fitting import refine
from repose.keypoints.reader import holds_keypoints, read_keypoints
from repose.lifting import Lifter
from repose.mocap.bvh import read_bvh
from repose.mocap.recordings import read_mocap, resample, split_at_jumps
from repose.models import load_checkpoint
from repose.pose import Pose3D
from repose.tracking.swaps import undo_swaps
from repose.training.comparison import compare
from repose.training.run_folder import restore
from repose.video import Seeker, open_video
from repose.viewer.page import write_page

from . import mutation, planted, seeds

Use = Callable[[Path], None]
Seed = tuple[mutation.Mutator, Callable[[], bytes]]


@dataclass(frozen=True)
class Reader:
    file: str
    """Name of the damaged file in its folder."""
    seeds: tuple[Seed, ...]
    """Sound files, and who damages them."""
    use: Use
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


# What is done with what was read ----------------------------------------------------------------------------


def _keypoints(path: Path) -> None:
    holds_keypoints(path)
    tracks = read_keypoints(path)
    for track in tracks[:3]:
        repaired, _ = undo_swaps(track)
        Lifter(seeds.model(), device="cpu").lift(repaired)


def _keypoint_folder(path: Path) -> None:
    _keypoints(path.parent)


def _result(path: Path) -> None:
    poses = read_poses(path)
    summarise(poses)
    ways = (_refined, _angles, _page, _opensim, *(partial(_exported, suffix) for suffix in _SUFFIXES))
    with tempfile.TemporaryDirectory() as out:
        ways[crc32(path.read_bytes()) % len(ways)](poses, Path(out))


_SUFFIXES = (".bvh", ".glb", ".trc", ".csv", ".json", ".c3d", ".usda", ".parquet")


def _exported(suffix: str, poses: list[Pose3D], out: Path) -> None:
    export_poses(poses, out / f"walk{suffix}")


def _refined(poses: list[Pose3D], out: Path) -> None:
    poses = refine(poses)
    summarise_refined(poses)
    write_poses(poses, out / "refined")


def _angles(poses: list[Pose3D], out: Path) -> None:
    write_angles([joint_angles(pose) for pose in poses], out / "angles", plot=False)


def _page(poses: list[Pose3D], out: Path) -> None:
    write_page(poses, out / "page.html", picture=False)


def _opensim(poses: list[Pose3D], out: Path) -> None:
    export_opensim(poses, out / "opensim")


def _bvh(path: Path) -> None:
    read_bvh(path)
    _mocap(path)


def _mocap(path: Path) -> None:
    for clip in read_mocap(path):
        split_at_jumps(clip)
        resample(clip, 30.0)


def _mocap_folder(path: Path) -> None:
    _mocap(path.parent)


def _prepared(prepare: Callable[..., ClipStore], *beside: str) -> Use:
    def use(path: Path) -> None:
        others = [path.parent / name for name in beside] or [None]
        examine(prepare(path, *others, path.parent / "out"))

    return use


def _prepared_mpi(path: Path) -> None:
    examine(prepare_mpi_inf_3dhp(path, path.parent / "out"))


def _prepared_mat(path: Path) -> None:
    examine(prepare_mpi_inf_3dhp(path.parents[2], path.parents[2] / "out"))


def _store(path: Path) -> None:
    folder = next(parent for parent in path.parents if parent.name == "store")
    store = ClipStore.open(folder)
    examine(store)
    for split in store.splits.values():
        for window in split.windows(9, 3)[:50]:
            split.cut("keypoints_norm", window, 9)


def _checkpoint(path: Path) -> None:
    Lifter(load_checkpoint(path), device="cpu").lift(seeds.track())


def _state(path: Path) -> None:
    model = seeds.model()
    restore(path, model, torch.optim.AdamW(model.parameters()))


def _run_folder(path: Path) -> None:
    compare([path.parent])


def _benchmark(path: Path) -> None:
    benchmark_video(path.parent, [Lifter(seeds.model(), device="cpu")], keypoints="stored")


def _video(path: Path) -> None:
    video = open_video(path)
    for _ in islice(video, 40):
        pass
    with closing(Seeker(video)) as seeker:
        seeker.at(0.1)
        seeker.at(0.0)


# The readers ------------------------------------------------------------------------------------------------


def _write(name: str, make: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(make()) and None


def _frames(folder: Path) -> None:
    for frame in range(1, 3):
        (folder / f"run_{frame:06d}_keypoints.json").write_bytes(seeds.openpose_frame(frame))


def _in_store(file: str, mutator: mutation.Mutator) -> Reader:
    def make() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            seeds.store(Path(folder) / "store")
            return (Path(folder) / file).read_bytes()

    return Reader(
        file, ((mutator, make), (mutation.of_bytes, make)), _store, lambda f: seeds.store(f / "store")
    )


def _seeds(mutator: mutation.Mutator, *makes: Callable[[], bytes]) -> tuple[Seed, ...]:
    """Each file damaged in its own terms three times as often as byte by byte."""
    return tuple((kind, make) for make in makes for kind in (mutator, mutator, mutator, mutation.of_bytes))


def _videos() -> Iterable[tuple[str, Reader]]:
    for suffix, codec, b_frames in (
        (".mp4", "libx264", 2), (".mov", "mpeg4", 0), (".mkv", "libx264", 2), (".avi", "mpeg4", 0),
        (".webm", "libvpx", 0),
    ):  # fmt: skip
        make = partial(seeds.quietly, partial(seeds.video, suffix, codec, b_frames))
        yield f"video-{suffix[1:]}", Reader(f"clip{suffix}", ((mutation.of_bytes, make),), _video)


READERS: dict[str, Reader] = {
    "keypoints-json": Reader(
        "keypoints.json",
        _seeds(
            mutation.of_json,
            seeds.alphapose,
            seeds.alphapose_cmu,
            lambda: seeds.dumped(seeds.coco_rows("coco-17")),
            lambda: seeds.dumped(seeds.coco_rows("mediapipe-33", track_id=2)),
            seeds.coco_annotations,
            seeds.mmpose,
            seeds.openpose_frame,
            seeds.ultralytics,
        ),
        _keypoints,
    ),
    "keypoints-folder": Reader(
        "run_000000_keypoints.json", _seeds(mutation.of_json, seeds.openpose_frame), _keypoint_folder, _frames
    ),
    "keypoints-npz": Reader(
        "keypoints.npz",
        _seeds(
            mutation.of_npz,
            lambda: seeds.npz(**seeds.keypoint_arrays()),
            lambda: seeds.npz(points=np.stack([seeds.person("coco-17"), seeds.person("coco-17", 90.0)])),
            seeds.videopose_custom,
        ),
        _keypoints,
    ),
    "keypoints-npy": Reader(
        "keypoints.npy", _seeds(mutation.of_npy, lambda: seeds.npy(seeds.person("h36m-17"))), _keypoints
    ),
    "result": Reader(
        "poses.npz",
        _seeds(
            mutation.of_npz,
            lambda: seeds.result(seeds.pose()),
            lambda: seeds.result(seeds.pose(), seeds.pose(3)),
            lambda: seeds.result(seeds.refined()),
        ),
        _result,
    ),
    "bvh": Reader("walk.bvh", _seeds(mutation.of_text, seeds.bvh, seeds.own_bvh), _bvh),
    "asf": Reader(
        "01.asf", _seeds(mutation.of_text, seeds.asf), _mocap_folder, _write("01_01.amc", seeds.amc)
    ),
    "amc": Reader("01_01.amc", _seeds(mutation.of_text, seeds.amc), _mocap, _write("01.asf", seeds.asf)),
    "mocap-npz": Reader(
        "walk.npz",
        _seeds(mutation.of_npz, lambda: seeds.npz(joints_m=seeds.pose().joints_m[..., [0, 2, 1]], fps=60.0)),
        _mocap,
    ),
    "human36m-pickle": Reader(
        "h36m.pkl", _seeds(mutation.of_pickle, seeds.human36m), _prepared(prepare_human36m)
    ),
    "human36m-3d": Reader(
        "data_3d_h36m.npz",
        _seeds(mutation.of_npz, seeds.videopose_3d),
        _prepared(prepare_human36m, "data_2d.npz"),
        _write("data_2d.npz", seeds.videopose_2d),
    ),
    "human36m-2d": Reader(
        "data_2d_h36m.npz",
        _seeds(mutation.of_npz, seeds.videopose_2d),
        _prepared(prepare_human36m, "data_3d.npz"),
        _write("data_3d.npz", seeds.videopose_3d),
    ),
    "mpi-inf-3dhp": Reader(
        "data_3dhp.npz",
        _seeds(mutation.of_npz, partial(seeds.mpi_inf_3dhp, "train"), partial(seeds.mpi_inf_3dhp, "test")),
        _prepared_mpi,
    ),
    "mpi-inf-3dhp-mat": Reader("S3/Seq2/annot.mat", ((mutation.of_bytes, seeds.mat),), _prepared_mat),
    "benchmark-truth": Reader(
        "gt_one.npz",
        _seeds(mutation.of_npz, seeds.benchmark_truth),
        _benchmark,
        _write("mediapipe_a.npz", seeds.mediapipe_arrays),
    ),
    "benchmark-stored": Reader(
        "mediapipe_a.npz",
        _seeds(mutation.of_npz, seeds.mediapipe_arrays),
        _benchmark,
        _write("gt_one.npz", seeds.benchmark_truth),
    ),
    "store-manifest": _in_store("store/manifest.json", mutation.of_json),
    "store-array": _in_store("store/test/keypoints_norm.npy", mutation.of_npy),
    "safetensors": Reader(
        "model.safetensors", _seeds(mutation.of_safetensors, seeds.safetensors), _checkpoint
    ),
    "torch": Reader("model.bin", _seeds(mutation.of_torch, seeds.torch_checkpoint), _checkpoint),
    "torch-legacy": Reader(
        "model.pth", ((mutation.of_bytes, partial(seeds.torch_checkpoint, legacy=True)),), _checkpoint
    ),
    "run-state": Reader("state.pt", _seeds(mutation.of_torch, seeds.state), _state),
    "run-config": Reader(
        "config.json",
        _seeds(mutation.of_json, seeds.run_config),
        _run_folder,
        _write("validation.jsonl", seeds.run_scores),
    ),
    "run-scores": Reader(
        "validation.jsonl",
        _seeds(mutation.of_json_lines, seeds.run_scores),
        _run_folder,
        _write("config.json", seeds.run_config),
    ),
    **dict(_videos()),
}

# Readers that go wrong, to see that each way is noticed.
PLANTED = {
    name: Reader("any", ((mutation.of_bytes, lambda: b"sound"),), use) for name, use in planted.WRONG.items()
}


def find(name: str) -> Reader:
    return {**READERS, **PLANTED}[name]
