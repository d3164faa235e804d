"""BVH in: a joint hierarchy with offsets, and Euler angles (and positions) per frame."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from repose.errors import expected, reads
from repose.files.text import beginning, parse_count, parse_numbers, parse_rate, read_text
from repose.geometry.rotation import euler_to_matrix, forward_kinematics

PositionChannels = Literal["auto", "add", "replace"]

_MOST_CHANNELS = 6
_MOST_FRAMES = 100_000_000
_SMALL = 1_000_000
"""So many places of joints are worked out for any file; more only in proportion to its numbers."""


@dataclass(frozen=True, eq=False)
class BvhMotion:
    """The content of a BVH file with its forward kinematics. Axes are the file's own (usually y up)."""

    joints: tuple[str, ...]
    """Names in the file's order; an End Site is a joint called `<parent>_end`."""
    parents: tuple[int, ...]
    """Index of each joint's parent, -1 for a root; a parent comes before its children."""
    offsets_m: Float[np.ndarray, "joints 3"]
    """OFFSET of each joint, in the frame of its parent."""
    fps: float
    positions_m: Float[np.ndarray, "frames joints 3"]
    """Place of each joint in the world."""
    rotations: Float[np.ndarray, "frames joints 3 3"]
    """Rotation of each joint in the world: takes joint coordinates to world coordinates."""


@reads("a BVH file")
def read_bvh(
    path: str | Path, *, unit_m: float = 0.01, position_channels: PositionChannels = "auto"
) -> BvhMotion:
    """Read a BVH file; `unit_m` is the length of its unit in metres (the file does not say; often cm).

    Channels may stand in any order and number. Rotations multiply in the order of the channels.
    Position channels either replace the OFFSET ("replace") or are added to it ("add"). Files differ,
    and "auto" decides once for the whole file: they replace, except when joints below the root have
    position channels and most of these (median over frames) lie nearer to zero than to the OFFSET.
    In particular the position of a root alone is absolute. A missing axis is 0 if added and the
    OFFSET's if replaced.

    Raises UserError for a file that is missing, empty, cut short or no BVH, for numbers of frames
    or channels that do not fit the header, and for a frame time that no recording has.
    """
    path = Path(path)
    head, motion = _split(path, read_text(path))
    joints, parents, offsets, channels = _hierarchy(path, head)
    values, fps = _motion(path, motion, sum(map(len, channels)))
    frames = len(values)
    if frames * len(joints) > _SMALL + 4 * values.size:
        found = f"{sum(map(bool, channels))} of {len(joints)}"
        expected(str(path), "CHANNELS for most joints", found, "Leave joints out that do not move.")

    shifts = np.full((frames, len(joints), 3), np.nan)
    local = np.broadcast_to(np.eye(3), (frames, len(joints), 3, 3)).copy()
    at = 0
    for joint, names in enumerate(channels):
        columns = values[:, at : at + len(names)]
        at += len(names)
        turns = [i for i, name in enumerate(names) if name.endswith("rotation")]
        if turns:
            order = "".join(names[i][0] for i in turns)
            local[:, joint] = euler_to_matrix(np.radians(columns[:, turns]), order)
        for i, name in enumerate(names):
            if name.endswith("position"):
                shifts[:, joint, "XYZ".index(name[0])] = columns[:, i]

    if position_channels == "auto":
        position_channels = _position_rule(shifts, offsets, parents)
    if position_channels == "replace":
        places = np.where(np.isnan(shifts), offsets, shifts)
    else:
        places = offsets + np.nan_to_num(shifts)
    positions, rotations = forward_kinematics(local, places * unit_m, parents, np.zeros(3))
    return BvhMotion(tuple(joints), tuple(parents), offsets * unit_m, fps, positions, rotations)


def _position_rule(shifts: np.ndarray, offsets: np.ndarray, parents: list[int]) -> PositionChannels:
    below = [j for j, parent in enumerate(parents) if parent >= 0 and not np.isnan(shifts[:, j]).any()]
    middle = np.median(shifts[:, below], axis=0)
    nearer_zero = np.linalg.norm(middle, axis=-1) < np.linalg.norm(middle - offsets[below], axis=-1)
    return "add" if 2 * nearer_zero.sum() > len(below) else "replace"


def _split(path: Path, text: str) -> tuple[list[str], str]:
    """Words of the hierarchy, and the text of the motion."""
    head, *motion = re.split(r"^\s*MOTION\s*$", text, maxsplit=1, flags=re.MULTILINE | re.IGNORECASE)
    words = head.split()
    if not words or words[0].upper() != "HIERARCHY":
        expected(str(path), "a BVH file, which begins with HIERARCHY", beginning(text))
    if not motion:
        expected(str(path), "a MOTION section", "none", "The file is cut short; export it again.")
    return words[1:], motion[0]


def _hierarchy(path: Path, tokens: list[str]) -> tuple[list[str], list[int], np.ndarray, list[list[str]]]:
    joints: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[list[str]] = []
    trail: list[int] = []
    words = iter(tokens)
    for word in words:
        match word.upper():
            case "ROOT" | "JOINT" | "END" as kind if trail or kind == "ROOT":
                name = " ".join(iter(lambda: next(words, "{"), "{"))
                joints.append(f"{joints[trail[-1]]}_end" if kind == "END" else name)
                parents.append(trail[-1] if trail else -1)
                offsets.append([0.0, 0.0, 0.0])
                channels.append([])
                trail.append(len(joints) - 1)
            case "}" if trail:
                trail.pop()
            case "OFFSET" if trail:
                offsets[trail[-1]] = parse_numbers(path, [next(words, "") for _ in range(3)])
            case "CHANNELS" if trail:
                count = parse_count(path, next(words, ""), "CHANNELS", _MOST_CHANNELS)
                names = [next(words, "") for _ in range(count)]
                channels[trail[-1]] = [_channel(path, name, joints[trail[-1]]) for name in names]
            case _:
                expected(str(path), "ROOT, JOINT, End Site, OFFSET, CHANNELS or }", repr(word))
    if trail or not joints:
        expected(str(path), "a } for every {", f"{len(trail)} not closed" if trail else "no joint at all")
    return joints, parents, np.array(offsets), channels


def _channel(path: Path, name: str, joint: str) -> str:
    kind = name[1:].lower()
    if name[:1].upper() not in tuple("XYZ") or kind not in ("rotation", "position"):
        expected(str(path), f"channels Xposition … Zrotation for joint {joint}", repr(name))
    return name[0].upper() + kind


def _motion(path: Path, motion: str, channels: int) -> tuple[np.ndarray, float]:
    header = re.match(r"\s*Frames:\s*([0-9]+)\s+Frame\s+Time:\s*(\S+)", motion, flags=re.IGNORECASE)
    if not header:
        expected(str(path), "Frames: and Frame Time: after MOTION", beginning(motion))
    count, fps = parse_count(path, header[1], "Frames", _MOST_FRAMES), parse_rate(path, header[2])
    if count < 1 or channels < 1:
        expected(str(path), "at least one frame and one channel", f"{count} frames of {channels} channels")
    values = np.array(parse_numbers(path, motion[header.end() :].split()))
    if values.size != count * channels:
        expected(
            str(path),
            f"{count} frames of {channels} channels",
            f"{values.size} numbers, enough for {values.size / channels:.4g} frames",
            "The file is cut short or its header is wrong; export it again.",
        )
    return values.reshape(count, channels), fps
