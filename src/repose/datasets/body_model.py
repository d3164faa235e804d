"""Joints of SMPL and SMPL-H bodies, regressed from the skin, without ever making the skin.

Loper et al., "SMPL: A Skinned Multi-Person Linear Model", SIGGRAPH Asia 2015; Romero et al., "Embodied
Hands", SIGGRAPH Asia 2017. A vertex is a sum over bones, weighted by its skinning weights, and a regressed
joint is a weighted sum of vertices. So the vertices can be summed up once for each pair of a joint and a
bone, and a pose then costs a few hundred points instead of 6,890. Nothing is left out: the result is that of
the whole skin up to rounding (`tests/datasets/test_amass.py` compares).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from repose.datasets.store_writer import numeric_array, shaped_array
from repose.errors import UserError, expected, reads
from repose.files.arrays import load_arrays
from repose.files.numbers import check_numbers
from repose.files.pickles import map_npz
from repose.geometry.rotation import axis_angle_to_matrix, forward_kinematics
from repose.skeleton import H36M_17

_KEYS = ("v_template", "shapedirs", "posedirs", "weights", "J_regressor", "kintree_table")
_SOFT = "eigvec"
_AT_ONCE = 2048
"""Frames that are posed in one piece."""


@dataclass(frozen=True, eq=False)
class BodyModel:
    """A body of one gender, and the joints that are regressed from its skin.

    Arrays named `pair_*` have a row for each pair of a regressed joint and a bone that moves some of the
    skin which the joint is regressed from: sums over that skin, weighted by both.
    """

    parents: tuple[int, ...]
    bones_m: Float[np.ndarray, "bones 3"]
    """Where the bones begin in the mean body at rest, and per unit of each shape coefficient."""
    bones_shape_m: Float[np.ndarray, "bones 3 shapes"]
    pair_joint: Int[np.ndarray, " pairs"]
    """In their order, each with one pair or more."""
    pair_bone: Int[np.ndarray, " pairs"]
    pair_share: Float[np.ndarray, " pairs"]
    pair_rest_m: Float[np.ndarray, "pairs 3"]
    pair_shape_m: Float[np.ndarray, "pairs 3 shapes"]
    pair_bend_m: Float[np.ndarray, "pairs 3 bends"]
    soft_shapes: int
    """The last so many coefficients of shape are those of soft tissue."""

    @property
    def shapes(self) -> int:
        return self.bones_shape_m.shape[2]

    def joints(
        self,
        turns_rad: Float[np.ndarray, "frames bones 3"],
        shape: Float[np.ndarray, "frames shapes"],
        place_m: Float[np.ndarray, "frames 3"],
    ) -> Float[np.ndarray, "frames joints 3"]:
        """Regress the joints of posed bodies, in metres and the axes of the data set.

        `turns_rad`: rotation of each bone relative to its parent as axis times angle; `place_m`: `trans`.
        """
        pieces = [slice(first, first + _AT_ONCE) for first in range(0, len(turns_rad), _AT_ONCE)]
        return np.concatenate([self._pose(turns_rad[p], shape[p], place_m[p]) for p in pieces])

    def _pose(self, turns_rad: np.ndarray, shape: np.ndarray, place_m: np.ndarray) -> np.ndarray:
        turns = axis_angle_to_matrix(turns_rad.astype(np.float64))
        start = self.bones_m + np.tensordot(shape, self.bones_shape_m, (1, 2))
        parents = np.array(self.parents)
        offsets = np.where(parents[:, None] < 0, start, start - start[:, parents])
        placed, turned = forward_kinematics(turns, offsets, self.parents, place_m)
        bend = (turns[:, 1:] - np.eye(3)).reshape(len(turns), -1)
        skin = self.pair_rest_m + np.tensordot(shape, self.pair_shape_m, (1, 2))
        skin += np.tensordot(bend, self.pair_bend_m, (1, 2))
        bone, share = self.pair_bone, self.pair_share[:, None]
        skin -= share * start[:, bone]
        skin = (turned[:, bone] @ skin[..., None])[..., 0] + share * placed[:, bone]
        first = np.flatnonzero(np.diff(self.pair_joint, prepend=-1))
        return np.add.reduceat(skin, first, axis=1)


@reads("a body model (.npz)", "Download it again, or see docs/datasets.md for its form.")
def read_body_model(
    path: Path,
    regressor: Float[np.ndarray, "joints vertices"],
    *,
    bones: int,
    shapes: int,
    soft_tissue: tuple[Path, int] | None = None,
) -> BodyModel:
    """Read `model.npz` of SMPL (24 bones) or SMPL-H (52), with its first `shapes` coefficients of shape.

    `soft_tissue`: the model of DMPLs and how many of them; they are shape coefficients like the others.

    Raises UserError for a file of another kind, another body, arrays that do not fit together, and pickles:
    those of SMPL ask for programs (chumpy, SciPy), and are not opened.
    """
    if path.suffix == ".pkl":
        raise UserError(
            f"{path}: expected a body model as .npz, found a pickle",
            "Pickles of SMPL run programs when they are opened. Save its arrays as .npz: docs/datasets.md.",
        )
    content = map_npz(path, _KEYS).content
    if missing := [key for key in _KEYS if key not in content]:
        expected(str(path), f"a body model, with {', '.join(_KEYS)}", f"no {', '.join(missing)}")
    arrays = {key: numeric_array(f"{path}: {key}", content[key]) for key in _KEYS}
    skin = regressor.shape[1]
    offered = arrays["shapedirs"].shape[-1:] or (0,)
    shapes = min(shapes, offered[0])
    arrays["shapedirs"] = arrays["shapedirs"][..., :shapes]
    wanted = {
        "v_template": (skin, 3),
        "shapedirs": (skin, 3, shapes),
        "posedirs": (skin, 3, 9 * (bones - 1)),
        "weights": (skin, bones),
        "J_regressor": (bones, skin),
        "kintree_table": (2, bones),
    }
    for key, form in wanted.items():
        if arrays[key].shape != form:
            expected(f"{path}: {key}", f"the shape {form} of a body of {bones} bones", arrays[key].shape)
        if key != "kintree_table":  # of the root it is 2^32 - 1, which stands for none
            check_numbers(f"{path}: {key}", arrays[key])
    directions = arrays["shapedirs"].astype(np.float64)
    if soft_tissue is not None:
        directions = np.concatenate([directions, _soft_tissue(*soft_tissue, skin)], axis=2)
    parents = (-1, *arrays["kintree_table"][0, 1:].tolist())
    if not all(parent in range(bone) for bone, parent in enumerate(parents) if bone):
        expected(f"{path}: kintree_table", "each bone after its parent", parents)
    return _summed(arrays, directions, tuple(map(int, parents)), regressor)


def _summed(
    arrays: dict[str, np.ndarray],
    directions: Float[np.ndarray, "vertices 3 shapes"],
    parents: tuple[int, ...],
    regressor: Float[np.ndarray, "joints vertices"],
) -> BodyModel:
    template, weights, starts = (
        arrays[key].astype(np.float64) for key in ("v_template", "weights", "J_regressor")
    )
    used = np.flatnonzero(regressor.any(axis=0))
    factors = regressor[:, None, used] * weights[used].T
    joint, bone = np.nonzero(factors.any(axis=2))
    factor = factors[joint, bone]
    return BodyModel(
        parents,
        starts @ template,
        np.tensordot(starts, directions, (1, 0)),
        joint,
        bone,
        factor.sum(axis=1),
        factor @ template[used],
        np.tensordot(factor, directions[used], (1, 0)),
        np.tensordot(factor, arrays["posedirs"][used].astype(np.float64), (1, 0)),
        directions.shape[2] - arrays["shapedirs"].shape[2],
    )


@reads("a model of soft tissue (.npz)")
def _soft_tissue(path: Path, count: int, skin: int) -> Float[np.ndarray, "vertices 3 count"]:
    content = map_npz(path, (_SOFT,)).content
    if _SOFT not in content:
        expected(str(path), f"a model of soft tissue, with {_SOFT}", f"no {_SOFT}")
    directions = shaped_array(f"{path}: {_SOFT}", content[_SOFT], (skin, 3, None))
    if directions.shape[2] < count:
        expected(f"{path}: {_SOFT}", f"{count} directions or more", directions.shape[2])
    return directions[..., :count]


def read_regressor(path: Path) -> Float[np.ndarray, "17 vertices"]:
    """Read `J_regressor_h36m.npy`: how each joint of h36m-17, in its order, is made of vertices.

    Raises UserError for another kind of file, other axes, and numbers that are none.
    """
    content = load_arrays(str(path), path)
    regressor = numeric_array(str(path), content.get("", np.zeros(0, "S1")))
    check_numbers(str(path), regressor)
    if regressor.ndim != 2 or len(regressor) != len(H36M_17) or not regressor.any(axis=1).all():
        expected(str(path), f"({len(H36M_17)} joints, vertices) of Human3.6M", regressor.shape)
    return regressor.astype(np.float64)
