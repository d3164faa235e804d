"""Tables whose body parts users name: `LKnee`, `knee_l` and `left knee` are the same joint."""

import csv
import re
from collections.abc import Mapping, Sequence
from io import StringIO

import numpy as np

from repose.errors import UserError, expected
from repose.keypoints.detections import Detections
from repose.skeleton import SKELETONS, Skeleton, convert

_PAIRED = {
    "eye": "eye", "ear": "ear", "shoulder": "shoulder", "sho": "shoulder", "acromion": "shoulder",
    "elbow": "elbow", "elb": "elbow", "wrist": "wrist", "wri": "wrist", "hip": "hip", "knee": "knee",
    "kne": "knee", "ankle": "ankle", "ank": "ankle", "heel": "heel", "bigtoe": "big_toe",
    "smalltoe": "small_toe", "littletoe": "small_toe",
}  # fmt: skip
_SINGLE = {
    "nose": "nose", "nosetip": "nose", "tipofnose": "nose", "neck": "neck", "pelvis": "pelvis",
    "midhip": "pelvis", "hipcenter": "pelvis", "hipcentre": "pelvis", "headtop": "head_top",
    "tophead": "head_top", "topofhead": "head_top", "vertex": "head_top",
}  # fmt: skip
_SIDES = {"left": "left", "right": "right", "l": "left", "r": "right"}
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_COCO, _HALPE = SKELETONS["coco-17"], SKELETONS["halpe-26"]
_MIDLINE = Skeleton("midline", ("pelvis", "neck"), (-1, 0))


def joint_named(part: str) -> str | None:
    """Return the joint of Halpe-26 that `part` names in any common spelling; None for any other word.

    The side may be a word of its own, first or last, or one letter. Words that leave the joint or the side
    open ("head", "toe", "hand", "knee1", "rear") name none.
    """
    words = [word.lower() for word in _WORDS.findall(part)]
    if re.search(r"\d", part):
        return None
    sides = [_SIDES[word] for word in words if word in _SIDES]
    rest = "".join(word for word in words if word not in _SIDES)
    if not sides:
        if rest in _SINGLE:
            return _SINGLE[rest]
        # "lknee" and "kneel"; a "rear" is no ear.
        for letters, side in _SIDES.items():
            for joint in (rest.removeprefix(letters), rest.removesuffix(letters)):
                if joint != rest and joint in _PAIRED and rest != "rear":
                    return f"{side}_{_PAIRED[joint]}"
    elif len(sides) == 1 and rest in _PAIRED:
        return f"{sides[0]}_{_PAIRED[rest]}"
    return None


def name_joints(
    name: str,
    kind: str,
    parts: Sequence[str],
    values: np.ndarray,
    frames: Sequence[int],
    people: Sequence[int] | None,
    *,
    meanings: Mapping[str, str] | None = None,
    fps: float | None = None,
) -> Detections:
    """Select the body joints among `parts` as detections; their `kind` says what was left out.

    The layout is Halpe-26 where the head's top is among them (a pelvis or neck that is not comes from hips or
    shoulders), else COCO-17. Joints that no part names are missing.

    Args:
        name: the file, for messages.
        kind: the format, in words.
        parts: names of the body parts.
        values: (rows, parts, 2 or 3): x and y in pixels, and the score; NaN where there is none.
        frames: frame of each row.
        people: who each row is, None where the file does not know.
        meanings: what words mean in this format beside those of `joint_named`.
        fps: the file's own rate in frames per second.

    Raises:
        UserError: two parts name one joint, or there are neither both hips nor both shoulders.
    """
    joints = [(meanings or {}).get(part) or joint_named(part) for part in parts]
    column: dict[str, int] = {}
    for index, joint in enumerate(joints):
        if joint in column:
            expected(name, "one body part for each joint", f"{parts[column[joint]]!r} and {parts[index]!r}")
        if joint:
            column[joint] = index
    if not any({f"left_{pair}", f"right_{pair}"} <= column.keys() for pair in ("hip", "shoulder")):
        raise UserError(
            f"{name}: expected body parts of a person, among them both hips or both shoulders, found "
            f"{_listed(parts)}",
            "Names such as left_knee, LKnee, knee_l or leftKnee are known; rename the parts of the file.",
        )
    layout = _HALPE if "head_top" in column else _COCO
    points = np.full((len(values), len(layout), values.shape[-1]), np.nan)
    for index, joint in enumerate(layout.joints):
        if joint in column:
            points[:, index] = values[:, column[joint]]
    if layout is _HALPE:
        _add_midline(points, column)
    unused = [part for part, joint in zip(parts, joints, strict=True) if joint not in layout.joints]
    return Detections(
        kind=f"{kind}; {len(parts) - len(unused)} body joints by their names"
        + (f", without {_listed(unused)}" if unused else ""),
        frames=frames,
        keypoints=list(points),
        people=people,
        layout=layout.name,
        fps=fps,
    )


def _add_midline(points: np.ndarray, column: Mapping[str, int]) -> None:
    """Fill in pelvis and neck of Halpe-26 `points` (rows, joints, values) where the file has no such part."""
    body = points[:, : len(_COCO)]
    found = np.isfinite(body).all(axis=-1)
    scores = np.where(found, body[..., 2], 0) if points.shape[-1] == 3 else found.astype(np.float64)
    made, sureness = convert(np.nan_to_num(body[..., :2]), np.maximum(scores, 0), _COCO, _MIDLINE)
    values = np.dstack([made, sureness])[..., : points.shape[-1]]
    values[sureness == 0] = np.nan
    for index, joint in enumerate(_MIDLINE.joints):
        if joint not in column:
            points[:, _HALPE.index(joint)] = values[:, index]


def _listed(parts: Sequence[str]) -> str:
    shown = ", ".join(part[:40] for part in parts[:20])
    return f"{shown} and {len(parts) - 20} more" if len(parts) > 20 else shown or "none"


def read_table(name: str, data: bytes) -> list[list[str]]:
    """Read the cells of each row that is not empty; raises UserError for rows of different lengths."""
    text = data.decode("utf-8-sig", errors="replace")
    rows = [row for row in csv.reader(StringIO(text, newline="")) if row]
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            expected(
                f"{name}: row {number}",
                f"{len(rows[0])} cells as in the first row",
                len(row),
                "The file may have been cut off while it was written or copied; make it again.",
            )
    return rows


def parse_cells(name: str, rows: Sequence[Sequence[str]]) -> np.ndarray:
    """Parse cells (rows, columns) as float64, NaN where one is empty; raises UserError for other words."""
    try:
        return np.array([[float(cell) if cell.strip() else np.nan for cell in row] for row in rows])
    except ValueError as error:
        expected(name, "a number", str(error).rpartition(": ")[2][:60])
