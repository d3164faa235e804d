"""AMASS (Mahmood et al. 2019) as MotionBERT pretrains on it: joints in the units of a picture, without one.

Files are those of the SMPL+H download, `<data set>/<subject>/<motion>_poses.npz`. What MotionBERT makes of
them (github.com/Walter0807/MotionBERT, tools/compress_amass.py, preprocess_amass.py and convert_amass.py):
every so many frames that about 60 Hz are left; pieces of at most 2,916 frames; the joints of Human3.6M
regressed from the skin, with soft tissue; x right, y down and z away from a level camera that looks along
the recording's y axis; and 0.298 units of the picture for a metre, at any distance.
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
from repose.files.pickles import map_npz, npz_keys
from repose.skeleton import H36M_17

RATE_HZ = 60.0
LONGEST = 2916
"""Frames of a piece; what would reach beyond is cut there."""
UNITS_PER_M = 0.298
"""Half pictures for a metre."""
LICENCE = (
    "AMASS and its body models are for non-commercial research (amass.is.tue.mpg.de). This store is made "
    "from them and must not be passed on."
)
_BONES, _SHAPES, _SOFT_SHAPES = 52, 16, 8
_ARRAYS = ("poses", "trans", "betas", "dmpls", "gender", "mocap_framerate")
_OPTIONAL = ("dmpls", "gender")
_SIDE_PX = 1000
"""The store takes pixels; this picture has as many as make 1 unit 500 of them."""


@reads("AMASS")
def read_amass(
    folder: Path, *, body_models: Path, regressor: Path, progress: Progress | None = None
) -> Source:
    """Open a folder of AMASS at any depth.

    `body_models`: the folder with `smplh/<gender>/model.npz` and perhaps `dmpls/<gender>/model.npz`, soft
    tissue; `regressor`: `J_regressor_h36m.npy`, (17, 6890). As published, people who are neither female nor
    male take the female body.

    Raises UserError where there is no motion, for models and regressors of another kind, and, while it is
    stored, for motion that is damaged.
    """
    joints = read_regressor(regressor)
    soft = (body_models / "dmpls").is_dir()

    @cache
    def body(gender: str) -> BodyModel:
        tissue = (body_models / "dmpls" / gender / "model.npz", _SOFT_SHAPES) if soft else None
        path = body_models / "smplh" / gender / "model.npz"
        return read_body_model(path, joints, bones=_BONES, shapes=_SHAPES, soft_tissue=tissue)

    if not folder.is_dir():
        expected(str(folder), "the folder of AMASS", "a file" if folder.exists() else "nothing there")
    files = sorted(folder.rglob("*.npz"))
    motions = [file for file in files if {"poses", "trans", "mocap_framerate"} <= set(npz_keys(file) or ())]
    if not motions:
        expected(str(folder), "files <motion>_poses.npz of AMASS (SMPL+H)", "none of them")
    body("female")  # what is wrong with the models is said at once

    def recordings() -> Iterator[Recording]:
        count = count_progress("storing motions", len(motions), progress)
        for file in motions:
            with reading(file, "motion of AMASS"):
                yield from _pieces(file, folder, body)
            count(1)

    notes = [
        "image units as MotionBERT pretrains on: not of any picture, depth does not change size; 2D is the "
        "truth's own x and y",
        f"every so many frames that about {RATE_HZ:g} Hz are left; pieces of at most {LONGEST} frames",
        "soft tissue included" if soft else "soft tissue (dmpls) left out: its models are not there",
    ]
    if left := len(files) - len(motions):
        notes.append(f"files without motion (shapes) left out: {left}")
    return Source("amass", H36M_17.name, "image", LICENCE, {"train": recordings()}, tuple(notes))


def _pieces(file: Path, folder: Path, body: Callable[[str], BodyModel]) -> Iterator[Recording]:
    content = map_npz(file, _ARRAYS).content
    if missing := [key for key in _ARRAYS if key not in content and key not in _OPTIONAL]:
        expected(str(file), ", ".join(_ARRAYS), f"no {', '.join(missing)}")
    rate_hz = float(content["mocap_framerate"])
    if not 1 <= rate_hz <= 10_000:
        expected(f"{file}: mocap_framerate", "frames per second", rate_hz)
    gender = content.get("gender", "")
    gender = gender.item() if isinstance(gender, np.ndarray) and gender.shape == () else gender
    gender = gender.decode("latin1") if isinstance(gender, bytes) else str(gender)
    model = body(gender if gender in ("female", "male") else "female")
    poses = shaped_array(f"{file}: poses", content["poses"], (None, 3 * _BONES))
    shape = _shape(file, content, model, len(poses))
    place_m = shaped_array(f"{file}: trans", content["trans"], (len(poses), 3))
    every = max(1, round(rate_hz / RATE_HZ))
    poses, place_m, shape = poses[::every], place_m[::every], shape[::every]
    name = file.relative_to(folder).with_suffix("").as_posix()
    for part, first in enumerate(range(0, len(poses), LONGEST)):
        rows = slice(first, first + LONGEST)
        turns = poses[rows].reshape(-1, _BONES, 3)
        joints_m = model.joints(turns, shape[rows], place_m[rows])
        seen_m = joints_m[..., [0, 2, 1]] * [1, -1, 1]  # x, down, away: the world's z is up
        target = (seen_m * UNITS_PER_M + [1, 1, 0]) * (_SIDE_PX / 2)
        yield Recording(
            name=f"{name}#{part}" if part else name,
            subject=file.parent.name,
            action=file.stem.removesuffix("_poses"),
            camera="level",
            image_size=(_SIDE_PX, _SIDE_PX),
            fps=rate_hz / every,
            keypoints_px=np.concatenate([target[..., :2], np.ones_like(target[..., :1])], axis=-1),
            target=target.astype(np.float32),
        )


def _shape(
    file: Path, content: dict[str, np.ndarray], model: BodyModel, frames: int
) -> Float[np.ndarray, "frames shapes"]:
    """Coefficients of every frame: `betas` are one body's, `dmpls` change."""
    own = model.shapes - model.soft_shapes
    betas = shaped_array(f"{file}: betas", content["betas"], (None,))
    if len(betas) < own:
        expected(f"{file}: betas", f"{own} coefficients", betas.shape)
    shape = np.zeros((frames, model.shapes))
    shape[:, :own] = betas[:own]
    if "dmpls" in content and model.soft_shapes:
        shape[:, own:] = shaped_array(f"{file}: dmpls", content["dmpls"], (frames, model.soft_shapes))
    return shape
