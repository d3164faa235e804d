"""3DPW (von Marcard et al. 2018): people outdoors, filmed by a moving phone; and its occluded subset.

The published layout: `sequenceFiles/<train|validation|test>/<sequence>.pkl`, pickles of Python 2 with plain
arrays. `poses`, `betas`, `trans` and `genders` are SMPL's for each person, `poses2d` detections in the order
of COCO-18 (0 where fewer than six joints were found), `cam_poses` and `cam_intrinsics` the camera
(virtualhumans.mpi-inf.mpg.de/3DPW, its readme). The truth is regressed from the skin to the joints of
Human3.6M, as papers score it; frames count whose camera is valid and that have detections, as in the official
evaluation (github.com/aymenmir1/3dpw-eval).
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from repose.datasets.body_model import BodyModel, read_body_model, read_regressor
from repose.datasets.store import Progress
from repose.datasets.store_writer import Recording, Source, count_progress, shaped_array
from repose.errors import expected, reading, reads
from repose.files.pickles import map_pickle
from repose.geometry.camera import Camera
from repose.skeleton import H36M_17, SKELETONS, convert

FPS = 30.0
LICENCE = "3DPW is for non-commercial research. This store is made from it and must not be passed on."
_BONES, _SHAPES = 24, 10
_GENDERS = {"m": "male", "f": "female"}
_KEYS = ("poses", "betas", "trans", "genders", "poses2d", "cam_poses", "cam_intrinsics", "campose_valid")
_SPLITS = ("train", "validation", "test")
# fmt: off
OCCLUDED = (
    "courtyard_backpack", "courtyard_basketball", "courtyard_bodyScannerMotions", "courtyard_box",
    "courtyard_golf", "courtyard_jacket", "courtyard_laceShoe", "downtown_stairs", "flat_guitar",
    "flat_packBags", "outdoors_climbing", "outdoors_crosscountry", "outdoors_fencing", "outdoors_freestyle",
    "outdoors_golf", "outdoors_parcours", "outdoors_slalom",
)
# fmt: on
"""Sequences of 3DPW-OC (Zhang et al. 2020), from all three splits, without their number; the list as in ROMP
(github.com/Arthur151/ROMP, romp/lib/dataset/pw3d.py)."""


@reads("3DPW")
def read_3dpw(
    folder: Path,
    *,
    body_models: Path,
    regressor: Path,
    occluded: bool = False,
    progress: Progress | None = None,
) -> Source:
    """Open 3DPW: the folder `sequenceFiles`, or one above it.

    `body_models`: the folder with `smpl/<gender>/model.npz`; `regressor`: `J_regressor_h36m.npy`. `occluded`
    takes the sequences of 3DPW-OC, of all splits, as the split "test".

    Raises UserError where there is no sequence, for models and regressors of another kind, and, while it is
    stored, for sequences that are damaged.
    """
    joints = read_regressor(regressor)

    @cache
    def body(gender: str) -> BodyModel:
        path = body_models / "smpl" / _GENDERS[gender] / "model.npz"
        return read_body_model(path, joints, bones=_BONES, shapes=_SHAPES)

    files = sorted(file for file in folder.rglob("*.pkl") if file.parent.name in _SPLITS)
    if occluded:
        files = [file for file in files if file.stem.rpartition("_")[0] in OCCLUDED]
    if not files:
        expected(
            str(folder),
            "sequenceFiles/<train, validation, test>/*.pkl of 3DPW",
            "none of them" if folder.is_dir() else "nothing there",
        )
    body("f")  # what is wrong with the models is said at once
    count = count_progress("storing sequences", len(files), progress)

    def recordings(chosen: list[Path]) -> Iterator[Recording]:
        for file in chosen:
            with reading(file, "a sequence of 3DPW"):
                yield from _people(file, body)
            count(1)

    by_split = {split: [file for file in files if file.parent.name == split] for split in _SPLITS}
    by_split = {"test": files} if occluded else {split: some for split, some in by_split.items() if some}
    notes = (
        "the truth is regressed from the skin to the joints of Human3.6M; published are scores over 14",
        "frames count whose camera is valid and that have detections; 2D joints converted from coco-18",
        f"frame rate is not in the source: {FPS:g} Hz",
        *(("3DPW-OC: the sequences of all splits in which objects hide people",) if occluded else ()),
    )
    splits = {split: recordings(chosen) for split, chosen in by_split.items()}
    return Source("3dpw", H36M_17.name, "camera", LICENCE, splits, notes)


def _people(file: Path, body: Callable[[str], BodyModel]) -> Iterator[Recording]:
    content = map_pickle(file).content
    if not isinstance(content, dict) or (missing := [key for key in _KEYS if key not in content]):
        expected(str(file), f"the entries {', '.join(_KEYS)}", f"no {missing[0]}" if content else "none")
    cam_poses = shaped_array(f"{file}: cam_poses", content["cam_poses"], (None, 4, 4))
    K = shaped_array(f"{file}: cam_intrinsics", content["cam_intrinsics"], (3, 3))
    frames, size = len(cam_poses), (round(2 * K[0, 2]), round(2 * K[1, 2]))  # the axis meets its middle
    if not all(1 <= side <= 100_000 for side in size):
        expected(f"{file}: cam_intrinsics", "those of a camera", K.tolist())
    camera = Camera(K)
    for person, gender in enumerate(content["genders"]):
        if gender not in _GENDERS:
            expected(f"{file}: genders", "m or f", repr(gender))

        def of(key: str, *shape: int | None, person: int = person) -> np.ndarray:
            if len(content[key]) <= person:
                expected(f"{file}: {key}", "one for each person", len(content[key]))
            return shaped_array(f"{file}: {key}", content[key][person], shape)

        betas = of("betas", None)[:_SHAPES]
        turns = of("poses", frames, 3 * _BONES).reshape(frames, _BONES, 3)
        model = body(gender)
        if len(betas) < model.shapes:
            expected(f"{file}: betas", f"{model.shapes} coefficients", len(betas))
        shape = np.tile(betas[: model.shapes], (frames, 1))
        world_m = model.joints(turns, shape, of("trans", frames, 3))
        target_m = world_m @ cam_poses[:, :3, :3].transpose(0, 2, 1) + cam_poses[:, None, :3, 3]
        found = of("poses2d", frames, 3, 18).transpose(0, 2, 1)
        keypoints = _as_h36m(found)
        exact = np.concatenate([camera.project(target_m), np.ones((frames, 17, 1))], axis=-1)
        behind = target_m[..., 2] < 0.1
        exact[behind] = 0  # what lies behind the camera is in no picture
        valid = of("campose_valid", frames).astype(bool) & (found != 0).any(axis=(1, 2))
        yield Recording(
            name=f"{file.stem} {person}",
            subject=f"{file.stem} {person}",
            action=file.stem,
            camera="phone",
            image_size=size,
            fps=FPS,
            keypoints_px=keypoints,
            target=target_m.astype(np.float32),
            optional={"valid": valid & ~behind.any(axis=1), "exact_norm": exact.astype(np.float32)},
        )


def _as_h36m(found: Float[np.ndarray, "frames 18 3"]) -> Float[np.ndarray, "frames 17 3"]:
    confidence = found[..., 2].clip(0, 1)
    points, sure = convert(found[..., :2], confidence, SKELETONS["coco-18"], H36M_17)
    return np.concatenate([points, sure[..., None]], axis=-1).astype(np.float32)
