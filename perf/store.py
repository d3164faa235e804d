"""The clip store beside the published way: preparation, disk, memory and loading, in one run.

The published way (MotionBERT's convert_h36m.py, written out here): read the whole pickle, normalise frame by
frame, cut windows of 243 frames, pickle each into a file of its own, and unpickle one file a clip. Clips a
second are of CPU time, with every file in the system's cache: what else the machine does counts less so.

    python perf/store.py [--frames 300000] [--folder /tmp]
"""

import argparse
import copy
import json
import pickle
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from cost import cost, in_own_process

WINDOW, STRIDE = 243, 81
FRAMES_PER_VIDEO = 2_500
LEFT, RIGHT = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]
CAMERAS = {"54138969": 1002, "55011271": 1000, "58860488": 1000, "60457274": 1002}


def write_published(path: Path, frames: int) -> None:
    """A file in the layout of h36m_sh_conf_cam_source_final.pkl; nearly all frames are in the train split."""
    rng = np.random.default_rng(0)
    content = {}
    for split, subject, count in (("train", 1, frames), ("test", 9, FRAMES_PER_VIDEO)):
        videos = np.arange(count) // FRAMES_PER_VIDEO
        names = [
            f"s_{subject:02d}_act_{2 + v // 4 % 15:02d}_subact_01_v{v:04d}_ca_{v % 4 + 1:02d}" for v in videos
        ]
        part = {
            "joint_2d": rng.uniform(200, 800, (count, 17, 2)).astype(np.float32),
            "confidence": rng.random((count, 17)).astype(np.float32),
            "joint3d_image": rng.uniform(200, 800, (count, 17, 3)).astype(np.float32),
            "camera_name": np.array(list(CAMERAS))[videos % 4],
            "source": names,
            "action": [("Directions", "Discussion", "Eating")[v % 3] for v in videos],
        }
        if split == "test":
            part |= {"joints_2.5d_image": 4 * part["joint3d_image"], "2.5d_factor": np.full(count, 4.0)}
        content[split] = part
    path.write_bytes(pickle.dumps(content, protocol=4))


def prepare_published(source: Path, out: Path) -> None:
    content = pickle.loads(source.read_bytes())
    for split, stride in (("train", STRIDE), ("test", WINDOW)):
        part = content[split]
        inputs, labels = part["joint_2d"].copy(), part["joint3d_image"].copy()
        for i, camera in enumerate(part["camera_name"]):
            width, height = 1000, CAMERAS[str(camera)]
            inputs[i] = inputs[i] / width * 2 - [1, height / width]
            labels[i, :, :2] = labels[i, :, :2] / width * 2 - [1, height / width]
            labels[i, :, 2:] = labels[i, :, 2:] / width * 2
        inputs = np.concatenate([inputs, part["confidence"][..., None]], axis=2)
        clips, start, sources = [], 0, part["source"]
        for i in range(1, len(sources) + 1):
            if i - start == WINDOW:
                clips.append(range(start, i))
                start += stride
            if i < len(sources) and sources[i] != sources[i - 1]:
                start = i
        cut_inputs, cut_labels = inputs[clips], labels[clips]
        folder = out / split
        folder.mkdir(parents=True)
        for i, (clip, label) in enumerate(zip(cut_inputs, cut_labels, strict=True)):
            with (folder / f"{i:08d}.pkl").open("wb") as file:
                pickle.dump({"data_input": clip, "data_label": label}, file)


def prepare_ours(source: Path, out: Path) -> None:
    from repose.datasets.prepare import prepare_human36m

    prepare_human36m(source, None, out)


def timed(way: str, source: Path, out: Path) -> dict[str, float]:
    """Prepare in a process of its own: seconds without imports, and peak memory above what imports need."""
    return in_own_process("--way", way, "--source", source, "--out", out)


def run_way(way: str, source: Path, out: Path) -> None:
    import repose.datasets.prepare  # noqa: F401

    # What imports needed at most is forgotten; the peak counts from what they keep (Linux).
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    seconds = cost(lambda: {"published": prepare_published, "ours": prepare_ours}[way](source, out)).elapsed_s
    print(json.dumps({"seconds": seconds, "peak_mb": resident("VmHWM") - before}))


def resident(what: str) -> float:
    """Resident memory of this process in MB, mapped files included."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024 / 1e6


def size_mb(folder: Path) -> float:
    """Space on disk, blocks and all."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*")) / 1e6


def load_published(folder: Path, batch: int) -> float:
    """Clips a CPU second of an epoch in random order, half of them mirrored, stacked to batches."""
    from torch.utils.data import DataLoader

    loader = DataLoader(PublishedClips(folder), batch_size=batch, shuffle=True)
    started = time.process_time()
    for _ in loader:
        pass
    return len(loader.dataset) / (time.process_time() - started)


class PublishedClips:
    """Items as MotionBERT's and MotionAGFormer's data sets make them."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.iterdir())

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple:
        import torch

        with self.files[i].open("rb") as file:
            clip = pickle.load(file)
        parts = [clip["data_input"], clip["data_label"]]
        if random.random() > 0.5:
            parts = [mirror(part) for part in parts]
        return tuple(torch.FloatTensor(part) for part in parts)


def mirror(clip: np.ndarray) -> np.ndarray:
    mirrored = copy.deepcopy(clip)
    mirrored[..., 0] *= -1
    mirrored[..., LEFT + RIGHT, :] = mirrored[..., RIGHT + LEFT, :]
    return mirrored


def load_ours(pool, batch: int) -> float:
    """Clips a CPU second of an epoch of the same batches from the store."""
    import torch

    started = time.process_time()
    order = torch.randperm(len(pool)).numpy()
    for first in range(0, len(order), batch):
        chosen = order[first : first + batch]
        mirrored = [random.random() > 0.5 for _ in chosen]
        for array in ("keypoints_norm", "target"):
            torch.from_numpy(pool.read(array, chosen, mirrored))
    return len(order) / (time.process_time() - started)


def load_batches(clips) -> float:
    """Clips a CPU second of an epoch as training takes it, with targets relative to the root."""
    steps = clips.steps(1)
    started = time.process_time()
    for step in range(steps):
        clips[step]
    return len(clips.full) / (time.process_time() - started)


def open_ours(path: Path, batch: int):
    from repose.datasets.clips import StoreClips, StoreConfig
    from repose.models import find_spec

    spec = find_spec("repose").with_config(frames=WINDOW)
    return StoreClips(StoreConfig(store=path, stride=STRIDE), spec, seed=0, batch=batch)


def check_same(published: Path, pool) -> None:
    """The first clips are the same both ways, and so are their mirror images."""
    clips = [pickle.loads((published / f"{i:08d}.pkl").read_bytes()) for i in range(20)]
    for array, key in (("keypoints_norm", "data_input"), ("target", "data_label")):
        theirs = np.stack([clip[key] for clip in clips])
        for turned, wanted in ((False, theirs), (True, mirror(theirs))):
            ours = pool.read(array, np.arange(20), [turned] * 20)
            np.testing.assert_allclose(ours, wanted, atol=1e-6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--way")
    parser.add_argument("--source", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.way:
        return run_way(options.way, options.source, options.out)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        source = folder / "h36m.pkl"
        write_published(source, options.frames)
        largest_mb = options.frames * 17 * 3 * 4 / 1e6
        results = {}
        for way in ("published", "ours"):
            results[way] = timed(way, source, folder / way) | {"disk_mb": size_mb(folder / way / "train")}
        clips = open_ours(folder / "ours", 16)
        check_same(folder / "published" / "train", clips.full)
        loads = {
            "published": lambda: load_published(folder / "published" / "train", 16),
            "ours": lambda: load_ours(clips.full, 16),
            "batches": lambda: load_batches(clips),
        }
        rates = dict.fromkeys(loads, 0.0)
        for _ in range(4):
            for way, load in loads.items():
                rates[way] = max(rates[way], load())
        for way in results:
            results[way]["clips_per_s"] = rates[way]
    print(f"{options.frames} train frames, windows of {WINDOW}, stride {STRIDE}: {len(clips.full)} clips")
    print(f"{'':24}{'published':>12}{'ours':>12}{'ratio':>10}")
    rows = (
        ("preparation, s", "seconds", 0),
        ("disk (train), MB", "disk_mb", 1),
        ("clips a second", "clips_per_s", 1),
    )
    for label, key, ours_first in rows:
        old, new = results["published"][key], results["ours"][key]
        ratio = new / old if ours_first else old / new
        print(f"{label:24}{old:12.1f}{new:12.1f}{ratio:10.2f}")
    print(f"clips a second as whole training batches, targets relative to the root: {rates['batches']:.0f}")
    for way in ("published", "ours"):
        peak = results[way]["peak_mb"]
        print(f"peak memory, {way}: {peak:.0f} MB, {peak / largest_mb:.2f} × the largest array")


if __name__ == "__main__":
    main()
