"""Bodies of motion capture written by hand, and where their joints come to lie."""

import numpy as np

from repose.mocap.recordings import H36M, MocapClip

Bones = dict[str, tuple[str, tuple[float, ...]]]
"""Joint -> its parent, and its offset from there."""


def bvh(joints: Bones, prefix: str = "", *, rows: str = "0\n", frame_time: float = 0.02) -> str:
    """A BVH file in which every joint keeps its offset; the root alone has a channel, a turn about x."""

    def block(name: str) -> str:
        parent, offset = joints[name]
        children = "".join(block(child) for child, (above, _) in joints.items() if above == name)
        kind = "JOINT" if parent else "ROOT"
        return f"{kind} {prefix}{name} {{ OFFSET {' '.join(map(str, offset))} {children} }} "

    root = next(name for name, (parent, _) in joints.items() if not parent)
    text = block(root).replace("{ OFFSET", "{ CHANNELS 1 Xrotation OFFSET", 1)
    return f"HIERARCHY\n{text}\nMOTION\nFrames: {rows.count(chr(10))}\nFrame Time: {frame_time}\n{rows}"


def place(clip: MocapClip, joint: str) -> np.ndarray:
    return clip.joints_m[:, H36M.index(joint)].astype(np.float64)


def assert_places(clip: MocapClip, places: dict[str, tuple[float, ...]], atol: float = 1e-6) -> None:
    """Joints are where they should be in the first frame."""
    assert clip.joints_m.shape[1:] == (17, 3)
    assert clip.joints_m.dtype == np.float32
    for joint, expected in places.items():
        np.testing.assert_allclose(place(clip, joint)[0], expected, atol=atol, err_msg=joint)
