"""Acclaim motion capture, as in the CMU database: a skeleton (ASF) and its motions (AMC)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from repose.errors import expected, reads
from repose.files.numbers import LARGEST_M, check_numbers
from repose.files.text import beginning, parse_count, parse_numbers, read_text
from repose.geometry.rotation import euler_to_matrix

INCH_M = 0.0254
_LARGEST_FRAME = 1_000_000_000
_MOST_BONES = 1000
_SMALL = 1_000_000
"""So many places of bones are worked out for any file; more only in proportion to its numbers."""


@dataclass(frozen=True, eq=False)
class AsfSkeleton:
    """The bones of one subject. Bone 0 is the root, a point without length."""

    bones: tuple[str, ...]
    parents: tuple[int, ...]
    """Index of each bone's parent, -1 for the root; a parent comes before its children."""
    offsets_m: Float[np.ndarray, "bones 3"]
    """From the beginning to the end of each bone, in world axes while all angles are zero."""
    axes: Float[np.ndarray, "bones 3 3"]
    """Rotation of the frame in which each bone's angles are given."""
    dofs: tuple[tuple[str, ...], ...]
    """What an AMC file gives for each bone, in order: rx, ry, rz, and tx, ty, tz for the root."""
    unit_m: float
    """Length of the file's unit."""
    degrees: bool
    """Whether the angles are in degrees (else radians)."""


@dataclass(frozen=True, eq=False)
class AmcMotion:
    """A motion with its forward kinematics. Axes are the file's own (y up)."""

    bones: tuple[str, ...]
    fps: float
    positions_m: Float[np.ndarray, "frames bones 3"]
    """The END of each bone in the world; the root's own place for the root."""
    rotations: Float[np.ndarray, "frames bones 3 3"]
    """Rotation of each bone in the world, the identity while all angles are zero."""


@reads("an ASF file")
def read_asf(path: str | Path, *, unit_m: float | None = None) -> AsfSkeleton:
    """Read a skeleton.

    `unit_m` is the length of its unit; by default the CMU database's, where `:units length L` means that one
    unit is 1/L inches.

    Raises UserError for a file that is missing, cut short or no ASF.
    """
    path = Path(path)
    text = read_text(path)
    sections = _sections(path, text)
    for name in ("units", "root", "bonedata", "hierarchy"):
        if name not in sections:
            found = f"sections {', '.join(sections)}" if sections else beginning(text)
            expected(str(path), f"an ASF file, with a section :{name}", found)
    units = {line[0]: line[1] for line in sections["units"] if len(line) == 2}
    length = parse_numbers(path, [units.get("length", "1")])[0]
    if not 1e-6 <= length <= 1e6:
        expected(str(path), "a length in :units of 1e-6 to 1e6", f"{length:g}")

    root = {line[0].lower(): line[1:] for line in sections["root"]}
    for name in ("position", "orientation"):
        if any(parse_numbers(path, root.get(name, []))):
            expected(str(path), f"a root {name} of 0 0 0, the only one supported", " ".join(root[name]))
    bones, parents = ["root"], [-1]
    offsets, axes = [np.zeros(3)], [np.eye(3)]
    dofs = [tuple(word.lower() for word in root.get("order", []))]
    degrees = units.get("angle", "deg").startswith("deg")

    data = _bones(path, sections["bonedata"])
    if len(data) > _MOST_BONES:
        expected(str(path), f"the bones of one body, {_MOST_BONES} at most", len(data))
    for parent, name in _breadth_first(sections["hierarchy"]):
        if name not in data or name in bones:
            found = "twice in the hierarchy" if name in bones else f"bones {', '.join(data)}"
            expected(str(path), f"bone {name} once in :bonedata and once in :hierarchy", found)
        bone = data[name]
        bones.append(name)
        parents.append(bones.index(parent))
        direction, size = parse_numbers(path, bone["direction"], 3), parse_numbers(path, bone["length"], 1)
        offsets.append(np.array(direction) * size[0])
        axes.append(_axis(path, bone["axis"], degrees))
        dofs.append(tuple(word.lower() for word in bone.get("dof", [])))
    loose = sorted(set(data) - set(bones))
    if loose:
        expected(
            str(path), "every bone in :hierarchy", f"none of {', '.join(loose)}", "The file is cut short."
        )
    for name, words in zip(bones, dofs, strict=True):
        known = {"rx", "ry", "rz"} | ({"tx", "ty", "tz"} if name == "root" else set())
        if set(words) - known:
            expected(str(path), f"degrees of freedom {', '.join(sorted(known))} of {name}", " ".join(words))
    unit_m = INCH_M / length if unit_m is None else unit_m
    check_numbers(f"{path}: lengths of bones in metres", np.array(offsets) * unit_m, largest=LARGEST_M)
    return AsfSkeleton(
        tuple(bones), tuple(parents), np.array(offsets) * unit_m, np.array(axes), tuple(dofs), unit_m, degrees
    )


def _breadth_first(hierarchy: list[list[str]]) -> Iterator[tuple[str, str]]:
    """Iterate over (parent, bone), parents first. A circle has no end: stop where a bone comes twice."""
    below: dict[str, list[str]] = {}
    for line in hierarchy:
        if line[0] not in ("begin", "end"):
            below.setdefault(line[0], []).extend(line[1:])
    waiting = [("root", child) for child in below.get("root", [])]
    while waiting:
        parent, name = waiting.pop(0)
        yield parent, name
        waiting += [(name, child) for child in below.get(name, [])]


@reads("an AMC file")
def read_amc(path: str | Path, skeleton: AsfSkeleton, *, fps: float = 120.0) -> AmcMotion:
    """Read a motion of `skeleton`. The file does not know its rate; the CMU database's is 120 Hz.

    With C a bone's axes and M the rotation by its angles about fixed axes in the order of its dofs
    (CMU: M = Rz Ry Rx), W_bone = W_parent C M C⁻¹ and END_bone = END_parent + W_bone offset.

    Raises UserError for a file that is missing, empty, cut short or no AMC, for frames that are not
    numbered one by one, and for bones that do not fit the skeleton.
    """
    path = Path(path)
    angles, degrees = _frames(path, read_text(path), skeleton)
    count = len(next(iter(angles.values()))[0])
    if count * len(skeleton.bones) > _SMALL + 4 * sum(
        len(column) for bone in angles.values() for column in bone
    ):
        expected(str(path), "the angles of most bones of its skeleton", f"those of {', '.join(angles)}")
    turned = np.empty((count, len(skeleton.bones), 3, 3))
    ends = np.empty((count, len(skeleton.bones), 3))
    for i, (bone, parent) in enumerate(zip(skeleton.bones, skeleton.parents, strict=True)):
        values = dict(zip(skeleton.dofs[i], angles.get(bone, []), strict=False))
        order = [name for name in reversed(skeleton.dofs[i]) if name[0] == "r" and name in values]
        turn = np.stack([values[name] for name in order], axis=-1) if order else np.zeros((count, 0))
        if degrees:
            turn = np.radians(turn)
        axes = skeleton.axes[i]
        local = axes @ euler_to_matrix(turn, "".join(name[1] for name in order).upper()) @ axes.T
        if parent < 0:
            zero = np.zeros(count)
            place = np.stack([values.get(name, zero) for name in ("tx", "ty", "tz")], axis=-1)
            turned[:, i], ends[:, i] = local, place * skeleton.unit_m
        else:
            turned[:, i] = turned[:, parent] @ local
            ends[:, i] = ends[:, parent] + turned[:, i] @ skeleton.offsets_m[i]
    return AmcMotion(skeleton.bones, fps, ends, turned)


def _frames(path: Path, text: str, skeleton: AsfSkeleton) -> tuple[dict[str, list[np.ndarray]], bool]:
    """Return each bone's values, one array over the frames per dof, and whether angles are in degrees."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if _is_number(line)), None)
    if start is None:
        expected(str(path), "an AMC file, with numbered frames", beginning(text))
    if strange := [line for line in lines[:start] if line.strip() and line.strip()[0] not in "#:"]:
        expected(str(path), "comments and :FLAGS before the first frame", repr(strange[0].strip()[:40]))
    flags = {line.strip().upper() for line in lines[:start]}
    degrees = ":DEGREES" in flags or (":RADIANS" not in flags and skeleton.degrees)

    # All frames are written alike, so every column of values stands at a fixed place: fast for long files.
    end = next((i for i in range(start + 1, len(lines)) if _is_number(lines[i])), len(lines))
    form = [line.split() for line in lines[start + 1 : end] if line.strip()]
    if len(form) > len({words[0] for words in form}):
        expected(str(path), "each bone once in a frame", " ".join(words[0] for words in form)[:200])
    for words in form:
        bone = words[0]
        if bone not in skeleton.bones:
            hint = "Read it with the ASF of the same subject."
            expected(str(path), "bones of its ASF skeleton", repr(bone), hint)
        wanted = skeleton.dofs[skeleton.bones.index(bone)]
        if len(words) - 1 != len(wanted):
            expected(str(path), f"{len(wanted)} values for {bone}", str(len(words) - 1))
    tokens = " ".join(lines[start:]).split()
    size = 1 + sum(map(len, form))
    whole, rest = divmod(len(tokens), size)
    first = parse_count(path, tokens[0], "the first frame's number", _LARGEST_FRAME)
    _regular(path, [first + i for i in range(whole)], tokens[0::size][:whole])
    angles: dict[str, list[np.ndarray]] = {}
    at = 1
    for words in form:
        names = tokens[at::size][:whole]
        wrong = next((i for i, name in enumerate(names) if name != words[0]), None)
        if wrong is not None:
            expected(str(path), f"{words[0]} in frame {tokens[wrong * size]}", repr(names[wrong]))
        columns = [tokens[at + 1 + i :: size][:whole] for i in range(len(words) - 1)]
        angles[words[0]] = [np.array(parse_numbers(path, column)) for column in columns]
        at += len(words)
    if rest:
        expected(
            str(path), "the last frame to be complete", f"{rest} of {size} words", "The file is cut short."
        )
    if "root" not in angles:
        expected(str(path), "the bone root in every frame", ", ".join(angles) or "no bone")
    return angles, degrees


def _is_number(line: str) -> bool:
    word = line.strip()
    return word.isascii() and word.isdigit()


def _regular(path: Path, wanted: list[int], found: list[str]) -> None:
    for number, word in zip(wanted, found, strict=True):
        if word != str(number):
            expected(str(path), f"frame {number}, with the bones of the frame before", repr(word))


def _sections(path: Path, text: str) -> dict[str, list[list[str]]]:
    """Lines of each `:section`, split into words."""
    sections: dict[str, list[list[str]]] = {}
    current: list[list[str]] | None = None
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith(":"):
            current = sections.setdefault(words[0][1:].lower(), [])
        elif current is None:
            expected(str(path), "an ASF file, with sections like :bonedata", beginning(text))
        else:
            current.append(words)
    return sections


def _bones(path: Path, lines: list[list[str]]) -> dict[str, dict[str, list[str]]]:
    bones = {}
    bone: dict[str, list[str]] = {}
    for words in lines:
        if words[0] == "begin":
            bone = {}
        elif words[0] == "end":
            missing = [key for key in ("name", "direction", "length", "axis") if not bone.get(key)]
            if missing:
                expected(
                    str(path), "name, direction, length and axis of each bone", f"no {', '.join(missing)}"
                )
            bones[bone["name"][0]] = bone
        else:
            bone[words[0].lower()] = words[1:]
    return bones


def _axis(path: Path, words: list[str], degrees: bool) -> np.ndarray:
    angles = np.array(parse_numbers(path, words[:3], 3))
    order = words[3].upper() if len(words) > 3 else "XYZ"
    if sorted(order) != ["X", "Y", "Z"]:
        expected(str(path), "an axis order like XYZ", repr(order))
    return euler_to_matrix((np.radians(angles) if degrees else angles)[::-1], order[::-1])
