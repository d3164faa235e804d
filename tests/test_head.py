"""The head as Human3.6M has it, made from a detector's face: its weights, and heads seen from the side."""

import numpy as np
import pytest
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from repose.skeleton import DERIVATIONS, H36M_17, SKELETONS, convert

# Places in metres, forward, left and up from between the ears, as `DERIVATIONS` explains them.
FACE_M = {
    "left_ear": (0, 0.072, 0), "right_ear": (0, -0.072, 0),
    "left_eye": (0.085, 0.032, 0.022), "right_eye": (0.085, -0.032, 0.022),
    "left_eye_inner": (0.09, 0.015, 0.02), "right_eye_inner": (0.09, -0.015, 0.02),
    "left_eye_outer": (0.08, 0.045, 0.02), "right_eye_outer": (0.08, -0.045, 0.02),
    "left_mouth": (0.1, 0.02, -0.05), "right_mouth": (0.1, -0.02, -0.05),
    "nose": (0.12, 0, -0.02),
}  # fmt: skip
HEAD_TOP_M, NECK_NOSE_M, SHOULDERS_M = (0, 0, 0.125), (0.065, 0, -0.055), (-0.03, 0, -0.185)
NECK_M = np.array((-0.015, 0, -0.05))
"""Where the head turns on the neck."""


def heads(
    count: int, nod_deg: float = 20, noise_m: float = 0.01, varied: bool = True
) -> dict[str, Float[np.ndarray, "heads 3"]]:
    """Points of many heads on upright trunks: those that a detector finds, with its errors, and the truth."""
    rng = np.random.default_rng(0)
    size = rng.normal(1, 0.05, (count, 1)) if varied else np.ones((count, 1))
    angles_deg = np.column_stack([rng.normal(0, sd, count) for sd in (nod_deg, 10, 30)])
    turn = Rotation.from_euler("yxz", angles_deg + np.array([5, 0, 0]), degrees=True)

    def place(at: tuple[float, ...], on_head: bool = True) -> np.ndarray:
        own = np.array(at) + (rng.normal(0, 0.006, (count, 3)) * (1, 0, 1) if varied else 0)
        return size * (turn.apply(own - NECK_M) + NECK_M if on_head else own)

    found = {name: place(at) for name, at in FACE_M.items()}
    found["thorax"] = place(SHOULDERS_M, on_head=False)
    found = {name: points + rng.normal(0, noise_m, points.shape) for name, points in found.items()}
    return {**found, "true head_top": place(HEAD_TOP_M), "true neck_nose": place(NECK_NOSE_M)}


@pytest.mark.parametrize("joint", ["head_top", "neck_nose"])
def test_weights_are_those_with_the_least_expected_error(joint: str) -> None:
    points = heads(20_000)
    weights = DERIVATIONS[joint][0]
    parts: dict[str, float] = {}
    for name, weight in weights.items():
        part = name.removeprefix("left_").removeprefix("right_")
        parts[part] = parts.get(part, 0) + weight
    for part in ("ear", "eye"):
        points[part] = (points[f"left_{part}"] + points[f"right_{part}"]) / 2
    first, *others = parts
    unknown = np.column_stack([(points[part] - points[first]).ravel() for part in others])
    wanted = (points[f"true {joint}"] - points[first]).ravel()
    best, *_ = np.linalg.lstsq(unknown, wanted, rcond=None)
    np.testing.assert_allclose([parts[part] for part in others], best, atol=0.08)


@pytest.mark.parametrize(
    ("layout", "hidden"),
    [("coco-17", False), ("body-25", False), ("body-25", True), ("coco-18", True), ("mediapipe-33", False)],
)
def test_heads_seen_from_the_side(layout: str, hidden: bool) -> None:
    """In the picture (x forward, y down): the vertex is above the ears, not in front of the forehead."""
    count = 2000
    points = heads(count, noise_m=0.004)
    skeleton = SKELETONS[layout]
    image = np.zeros((count, len(skeleton), 2))
    for name, at in points.items():
        for index, joint in enumerate(skeleton.joints):
            if joint == name or (name == "thorax" and joint in ("neck", "left_shoulder", "right_shoulder")):
                image[:, index] = at[:, [0, 2]] * (1, -1)
    confidence = np.ones(image.shape[:2])
    if hidden:  # OpenPose leaves out what it does not see
        confidence[:, skeleton.indices("left_ear", "left_eye")] = 0
    made, sureness = convert(image, confidence, skeleton, H36M_17)
    assert (sureness[:, H36M_17.indices("nose", "head_top")] > 0).all()
    for joint, true, most_mm in (("head_top", "true head_top", 45), ("nose", "true neck_nose", 32)):
        off = 1000 * (made[:, H36M_17.index(joint)] - points[true][:, [0, 2]] * (1, -1))
        if hidden and joint == "head_top":
            most_mm += 15  # turned heads show that one ear is not the middle of two
        assert np.linalg.norm(off, axis=1).mean() < most_mm, joint
        assert abs(off[:, 0].mean()) < 20, joint
