"""What is done with a file that is read.

What comes out of a reader goes where users send it (lifting, refining, exporting, tables, the page), because
a number that was let in does its damage there. Only one of the ways is taken for each file, by its content.
"""

import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from zlib import crc32

import torch

from repose.batch import find_items, read_batch
from repose.batch.dataset import write_table
from repose.cli.poses import summarise
from repose.cli.refine import summarise_refined
from repose.datasets.doctor import examine
from repose.datasets.prepare import prepare_folder, prepare_mpi_inf_3dhp
from repose.datasets.store import ClipStore
from repose.evaluation.video_benchmark import benchmark_video
from repose.export.angles import joint_angles, write_angles
from repose.export.formats import export_opensim, export_poses
from repose.export.results import read_poses, write_poses
from repose.fitting import refine
from repose.geometry.calibration import check_picture, read_calibration
from repose.geometry.camera import Camera
from repose.keypoints.reader import read_keypoints, read_unless_video
from repose.lifting import Lifter
from repose.mocap.bvh import read_bvh
from repose.mocap.recordings import read_mocap, resample, split_at_jumps
from repose.models import load_checkpoint
from repose.models.onnx_network import open_onnx
from repose.pose import Pose3D
from repose.tracking.swaps import undo_swaps
from repose.training.comparison import compare
from repose.training.run_folder import restore
from repose.video import Seeker, open_video
from repose.video.pieces import cut
from repose.viewer.page import write_page

from .seeds import keypoints, models

Use = Callable[[Path], None]
"""Takes the path of the damaged file."""


def lift_keypoints(path: Path) -> None:
    tracks = read_unless_video(path) or read_keypoints(path)
    for track in tracks[:3]:
        repaired, _ = undo_swaps(track)
        Lifter(models.model(), device="cpu").lift(repaired)


def lift_keypoint_folder(path: Path) -> None:
    lift_keypoints(path.parent)


def use_calibration(path: Path) -> None:
    found = read_calibration(path)
    size = found.image_size or (1280, 720)
    camera = Camera.from_intrinsics(found.scaled(size).intrinsics_px, found.distortion)
    check_picture(camera.intrinsics_px, size)
    camera.check_distortion(size)


def lift_labels(path: Path) -> None:
    """Their numbers are shares of the picture."""
    for track in read_keypoints(path.parent, image_size=(854, 480)):
        Lifter(models.model(), device="cpu").lift(track)


def use_result(path: Path) -> None:
    poses = read_poses(path)
    summarise(poses)
    ways = (_refined, _angles, _page, _opensim, *(partial(_exported, suffix) for suffix in _SUFFIXES))
    with tempfile.TemporaryDirectory() as out:
        ways[crc32(path.read_bytes()) % len(ways)](poses, Path(out))


def use_batch(path: Path) -> None:
    folder = path.parent if path.name == "batch.json" else path.parents[1]
    batch = read_batch(folder)
    write_table(batch)
    list(batch)


def use_video_table(path: Path) -> None:
    for item in find_items([str(path)]):
        assert Path(item.name).name == item.name


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


def use_bvh(path: Path) -> None:
    read_bvh(path)
    use_mocap(path)


def use_mocap(path: Path) -> None:
    for clip in read_mocap(path):
        split_at_jumps(clip)
        resample(clip, 30.0)


def use_mocap_folder(path: Path) -> None:
    use_mocap(path.parent)


def use_joint_map(path: Path) -> None:
    read_mocap(path.parent / "walk.bvh", joint_map=path)


def preparing(prepare: Callable[..., ClipStore], *beside: str) -> Use:
    def use(path: Path) -> None:
        others = [path.parent / name for name in beside] or [None]
        examine(prepare(path, *others, path.parent / "out"))

    return use


def preparing_folder(dataset: str, depth: int, inside: str = "", **beside: str) -> Use:
    """`depth`: how far below the reader's folder the file is; `inside` and `beside` are paths in that one."""

    def use(path: Path) -> None:
        folder = path.parents[depth]
        options = {name: folder / where for name, where in beside.items()}
        examine(prepare_folder(dataset, folder / (inside or dataset), folder / "out", **options))

    return use


def prepare_mpi(path: Path) -> None:
    examine(prepare_mpi_inf_3dhp(path, path.parent / "out"))


def prepare_original_mpi(path: Path) -> None:
    examine(prepare_mpi_inf_3dhp(path.parents[2], path.parents[2] / "out"))


def prepare_test_mpi(path: Path) -> None:
    examine(prepare_mpi_inf_3dhp(path.parents[1], path.parents[1] / "out"))


def use_store(path: Path) -> None:
    folder = next(parent for parent in path.parents if parent.name == "store")
    store = ClipStore.open(folder)
    examine(store)
    for split in store.splits.values():
        for window in split.windows(9, 3)[:50]:
            split.cut("keypoints_norm", window, 9)


def use_checkpoint(path: Path) -> None:
    Lifter(load_checkpoint(path), device="cpu").lift(keypoints.track())


def use_onnx(path: Path) -> None:
    Lifter(open_onnx(path, "cpu")).lift(keypoints.track())


def use_state(path: Path) -> None:
    model = models.model()
    optimizer = torch.optim.AdamW(model.parameters())
    restore(path, model, optimizer)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()


def use_run_folder(path: Path) -> None:
    compare([path.parent])


def use_benchmark(path: Path) -> None:
    benchmark_video(path.parent, [Lifter(models.model(), device="cpu")], keypoints="stored")


def use_video(path: Path) -> None:
    video = open_video(path)
    for _ in islice(video, 40):
        pass
    for piece in cut(video, 4, 0.05)[1:3]:
        for _ in islice(piece.frames(video), 20):
            pass
    with closing(Seeker(video)) as seeker:
        seeker.at(0.1)
        seeker.at(0.0)
