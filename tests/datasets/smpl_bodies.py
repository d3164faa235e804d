"""Bodies of our own in the published layout of SMPL's models: cubes of skin about the joints of a figure."""

from pathlib import Path
from typing import Any

import numpy as np

from repose.skeleton import H36M_17

_TREE_24 = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
_HEIGHTS_M = (0, 0, 0, 0.1, -0.4, -0.4, 0.2, -0.8, -0.8, 0.3, -0.85, -0.85, 0.5, 0.4, 0.4, 0.6)
_PLACE_24 = {
    0: (0, 0), 1: (0.1, 0), 2: (-0.1, 0), 4: (0.11, 0), 5: (-0.11, 0), 7: (0.1, 0), 8: (-0.1, 0),
    10: (0.1, 0.12), 11: (-0.1, 0.12), 13: (0.07, 0), 14: (-0.07, 0), 16: (0.18, 0), 17: (-0.18, 0),
    18: (0.45, 0), 19: (-0.45, 0), 20: (0.7, 0), 21: (-0.7, 0), 22: (0.8, 0), 23: (-0.8, 0),
}  # fmt: skip
_OF_BONES = (0, 2, 5, 8, 1, 4, 7, 3, 12, 15, 15, 16, 18, 20, 17, 19, 21)
"""The bone of SMPL at which each joint of h36m-17 lies; the head's two are told apart by their skin."""
CUBE = 6
"""Vertices about each joint."""


def model_arrays(bones: int, shapes: int = 16, seed: int = 0) -> dict[str, np.ndarray]:
    """A model of SMPL (24 bones) or SMPL-H (52): y up, facing z, its left at positive x."""
    rng = np.random.default_rng(seed)
    body = 22 if bones == 52 else 24
    tree = list(_TREE_24[:body])
    places = [(*_PLACE_24.get(i, (0, 0)), _HEIGHTS_M[i] if i < 16 else 0.42)[:3] for i in range(body)]
    starts = [np.array([x, height, z]) for x, z, height in places]
    for _hand, wrist in ((0, 20), (1, 21)):
        for finger in range(5 if bones == 52 else 0):
            for link in range(3):
                tree.append(wrist if not link else len(tree) - 1)
                starts.append(starts[tree[-1]] + [0.02, 0.01 * finger, 0])
    joints = np.array(starts)
    skin = (joints[:, None] + rng.normal(0, 0.03, (bones, CUBE, 3))).reshape(-1, 3)
    weights = np.zeros((len(skin), bones))
    near = np.arange(len(skin)) // CUBE
    weights[np.arange(len(skin)), near] = 0.7
    parents = np.maximum(np.array(tree), 0)
    weights[np.arange(len(skin)), parents[near]] += 0.3
    places = np.zeros((bones, len(skin)))
    places[near, np.arange(len(skin))] = 1 / CUBE
    first = np.array(tree, np.int64).astype(np.uint32)  # SMPL's files have 4294967295 for the root
    return {
        "v_template": skin,
        "shapedirs": rng.normal(0, 0.01, (len(skin), 3, shapes)),
        "posedirs": rng.normal(0, 0.005, (len(skin), 3, 9 * (bones - 1))),
        "weights": weights,
        "J_regressor": places,
        "kintree_table": np.stack([first, np.arange(bones, dtype=np.uint32)]),
        "f": np.zeros((1, 3), np.uint32),
    }


def regressor(bones: int) -> np.ndarray:
    """The joints of Human3.6M from the skin of such a model."""
    made = np.zeros((len(H36M_17), bones * CUBE))
    for joint, bone in enumerate(_OF_BONES):
        made[joint, bone * CUBE : (bone + 1) * CUBE] = 1 / CUBE
    head = slice(_OF_BONES[9] * CUBE, (_OF_BONES[9] + 1) * CUBE)
    made[9, head], made[10, head] = [0.5, 0.5, 0, 0, 0, 0], [0, 0, 0, 0, 0.5, 0.5]
    return made


def write_models(folder: Path, kind: str, bones: int, *, soft: bool = False) -> Path:
    """`<kind>/<gender>/model.npz` in the folder, and the regressor, whose path is returned."""
    for seed, gender in enumerate(("female", "male")):
        place = folder / kind / gender
        place.mkdir(parents=True)
        np.savez(place / "model.npz", **model_arrays(bones, seed=seed))
        if soft:
            (folder / "dmpls" / gender).mkdir(parents=True)
            directions = np.random.default_rng(9).normal(0, 0.01, (bones * CUBE, 3, 10))
            np.savez(folder / "dmpls" / gender / "model.npz", eigvec=directions)
    np.save(folder / "J_regressor_h36m.npy", regressor(bones))
    return folder / "J_regressor_h36m.npy"


def skin_m(model: dict[str, np.ndarray], turns: Any, shape: np.ndarray, place_m: np.ndarray) -> np.ndarray:
    """The vertices of one pose, by the formulas of the papers: every vertex, bone by bone."""
    tree = model["kintree_table"][0].astype(np.int64)
    skin = model["v_template"] + model["shapedirs"] @ shape
    joints = model["J_regressor"] @ skin
    matrices = turns.as_matrix()
    bent = skin + model["posedirs"] @ (matrices[1:] - np.eye(3)).ravel()
    worlds: list[np.ndarray] = []
    for bone, matrix in enumerate(matrices):
        local = np.eye(4)
        local[:3, :3] = matrix
        local[:3, 3] = joints[bone] - (joints[tree[bone]] if bone else 0)
        worlds.append(worlds[tree[bone]] @ local if bone else local)
    out = np.zeros_like(bent)
    for bone, world in enumerate(worlds):
        moved = (bent - joints[bone]) @ world[:3, :3].T + world[:3, 3]
        out += model["weights"][:, bone : bone + 1] * moved
    return out + place_m
