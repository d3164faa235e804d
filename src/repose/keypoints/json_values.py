"""Values of keypoint files in JSON: points, numbers, identities and frames of a row."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from repose.errors import expected
from repose.keypoints.detections import LAYOUT_OF_COUNT
from repose.skeleton import SKELETONS


def read_points(name: str, value: Any) -> np.ndarray:
    """Read the keypoints of one person from JSON, flat or nested, as (joints, 2) or (joints, 3) float64.

    A flat list is read in threes (x, y, confidence), or in twos where only that gives a known number of
    joints. Raises UserError for anything but numbers.
    """
    values = number_list(name, "keypoints", value)
    if values.ndim == 2 and values.shape[1] in (2, 3):
        return values
    if values.ndim == 1 and len(values):
        known = {len(s) for s in SKELETONS.values()} | set(LAYOUT_OF_COUNT)
        for width in (3, 2):
            if len(values) % width == 0 and len(values) // width in known:
                return values.reshape(-1, width)
        for width in (3, 2):
            if len(values) % width == 0:
                return values.reshape(-1, width)
    found = " × ".join(map(str, values.shape)) or "one number"
    expected(f"{name}: keypoints", "x, y, confidence for each joint", f"{found} values")


def number_list(name: str, what: str, value: Any) -> np.ndarray:
    """Read a JSON list of numbers as a float64 array, null as NaN; raises UserError for anything else."""
    if isinstance(value, list) and None in value:
        width = next((len(inner) for inner in value if isinstance(inner, list)), None)
        value = [
            (np.nan if width is None else [np.nan] * width) if inner is None else inner for inner in value
        ]
    try:
        values = np.asarray(value)
        if values.dtype == object and all(isinstance(v, int | float | None) for v in values.flat):
            values = values.astype(np.float64)
    except ValueError:
        expected(f"{name}: {what}", "a list of numbers", "a ragged list")
    if values.size == 0 or values.dtype.kind not in "iuf":
        kind = "nothing" if values.size == 0 else "something that is no number"
        expected(f"{name}: {what}", "a list of numbers", kind)
    return values.astype(np.float64)


def whole_number(value: Any) -> int | None:
    """Convert a JSON number without a fraction to int; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    number = int(value)
    return number if abs(number) < 2**53 else None


def identities(name: str, key: str, values: Sequence[Any], frames: Sequence[int]) -> list[int] | None:
    """Read who each row is from its `key`: a number, or a list that begins with one.

    None where the file does not know: no row has the key, or some row has a negative id, or people in
    one frame share the only id that there is (programs write zeros when they do not track). Raises
    UserError where some rows have an id and others none.
    """
    ids = []
    for value in values:
        while isinstance(value, list) and value:
            value = value[0]
        ids.append(whole_number(value))
    if all(number is None for number in ids):
        return None
    people = [number for number in ids if number is not None]
    if len(people) < len(ids):
        expected(
            name, f"{key!r} with a whole number for every person or none", f"{len(people)} of {len(ids)}"
        )
    shared = len(set(people)) == 1 and len(set(frames)) < len(frames)
    return None if shared or min(people) < 0 else people


def frame_numbers(name: str, images: Sequence[Any]) -> list[int]:
    """Read the frame number of each image: a number, or a file name whose last digits are the number.

    A single name without digits is frame 0. Raises UserError for other names without digits, and where
    two different names have one number.
    """
    numbers_of: dict[str | int, int] = {}
    names = {image for image in images if isinstance(image, str)}
    for image in images:
        number = whole_number(image)
        if number is None and isinstance(image, str):
            stem = re.sub(r"(_keypoints)?\.[A-Za-z]\w*$", "", image.replace("\\", "/").rpartition("/")[2])
            digits = [stem] if re.fullmatch(r"-?\d+", stem) else re.findall(r"\d+", stem)
            if digits:
                number = whole_number(int(digits[-1][:20]))
            elif len(names) == 1:
                number = 0
        if number is None:
            expected(f"{name}: image_id", "a frame number or a name that ends with one", repr(image))
        numbers_of[image] = number
    owner: dict[int, str | int] = {}
    for image, number in numbers_of.items():
        if owner.setdefault(number, image) != image:
            expected(name, "one image per frame number", f"{owner[number]!r} and {image!r}, both {number}")
    return [numbers_of[image] for image in images]
