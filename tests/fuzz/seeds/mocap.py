"""Files of motion capture."""

import numpy as np

from repose.export.bvh import write_bvh
from repose.export.c3d import write_c3d
from repose.export.trc import write_trc
from repose.export.upright import to_world
from repose.skeleton import marker_names

from .packing import dumped, folder_of_its_own, npz
from .results import pose

# Joint -> parent and offset in centimetres, y up, of a body that is all of a Mixamo skeleton.
_BODY = {
    "Hips": ("", (0, 100, 0)), "Spine": ("Hips", (0, 10, 1)), "Spine1": ("Spine", (0, 12, 0)),
    "Neck": ("Spine1", (0, 25, -2)), "Head": ("Neck", (0, 9, 3)), "HeadTop_End": ("Head", (0, 18, 1)),
    "LeftArm": ("Spine1", (17, 20, 0)), "LeftForeArm": ("LeftArm", (28, 0, 0)),
    "LeftHand": ("LeftForeArm", (24, 0, 0)), "RightArm": ("Spine1", (-16, 21, 0)),
    "RightForeArm": ("RightArm", (0, -29, 0)), "RightHand": ("RightForeArm", (0, -5, 23)),
    "LeftUpLeg": ("Hips", (9, -4, 0)), "LeftLeg": ("LeftUpLeg", (0, -42, 0)), "LeftFoot": ("LeftLeg", (0,
    -41, -3)),
    "RightUpLeg": ("Hips", (-11, -6, 0)), "RightLeg": ("RightUpLeg", (0, 0, 43)),
    "RightFoot": ("RightLeg", (0, -40, 0)),
}  # fmt: skip
# The same in the words of the CMU database.
_BONES = {
    "lhipjoint": ("root", (9, -4, 0)), "lfemur": ("lhipjoint", (0, -42, 0)), "ltibia": ("lfemur", (0, -41,
    -3)),
    "rhipjoint": ("root", (-11, -6, 0)), "rfemur": ("rhipjoint", (0, 0, 43)), "rtibia": ("rfemur", (0, -40,
    0)),
    "lowerback": ("root", (0, 10, 1)), "upperback": ("lowerback", (0, 12, 0)), "thorax": ("upperback", (0,
    25, -2)),
    "upperneck": ("thorax", (0, 9, 3)), "head": ("upperneck", (0, 18, 1)), "lclavicle": ("upperback", (17,
    20, 0)),
    "lhumerus": ("lclavicle", (28, 0, 0)), "lradius": ("lhumerus", (22, 0, 0)), "lwrist": ("lradius", (4,
    0, 0)),
    "rclavicle": ("upperback", (-16, 21, 0)), "rhumerus": ("rclavicle", (0, -29, 0)),
    "rradius": ("rhumerus", (0, -5, 22)), "rwrist": ("rradius", (0, 0, 2)),
}  # fmt: skip


def bvh() -> bytes:
    """A Mixamo body with three channels a joint."""

    def block(name: str, indent: str) -> str:
        parent, offset = _BODY[name]
        channels = (
            "6 Xposition Yposition Zposition" if not parent else "3"
        ) + " Zrotation Xrotation Yrotation"
        inner = "".join(block(child, indent + " ") for child, (above, _) in _BODY.items() if above == name)
        inner = inner or f"{indent} End Site\n{indent} {{\n{indent} OFFSET 0 5 0\n{indent} }}\n"
        return (
            f"{indent}{'JOINT' if parent else 'ROOT'} mixamorig:{name}\n{indent}{{\n"
            f"{indent} OFFSET {' '.join(map(str, offset))}\n{indent} CHANNELS {channels}\n{inner}{indent}}}\n"
        )

    frames = "\n".join(" ".join(str(i % 7 + frame) for i in range(3 * len(_BODY) + 3)) for frame in range(3))
    return f"HIERARCHY\n{block('Hips', '')}MOTION\nFrames: 3\nFrame Time: 0.0333333\n{frames}\n".encode()


def own_bvh() -> bytes:
    with folder_of_its_own() as folder:
        write_bvh(to_world([pose()])[0], folder / "walk.bvh")
        return (folder / "walk.bvh").read_bytes()


def asf() -> bytes:
    lines = [":version 1.10", ":name body", ":units", "mass 1.0", "length 2.54", "angle deg", ":root"]
    lines += ["order TX TY TZ RX RY RZ", "axis XYZ", "position 0 0 0", "orientation 0 0 0", ":bonedata"]
    for number, (name, (_, offset)) in enumerate(_BONES.items()):
        turns = ["dof rx ry rz", "limits (-90 90)", "(-90 90)", "(-90 90)"] if name == "lfemur" else []
        direction = " ".join(map(str, offset))
        lines += ["begin", f"id {number}", f"name {name}", f"direction {direction}", "length 1"]
        lines += ["axis 0 0 20 XYZ", *turns, "end"]
    lines += [":hierarchy", "begin", *(f"{parent} {name}" for name, (parent, _) in _BONES.items()), "end"]
    return "\n".join(lines).encode()


def amc() -> bytes:
    frames = [f"{frame}\nroot 0 100 {frame} 0 0 0\nlfemur 1 2 {frame}\n" for frame in range(1, 5)]
    return f"#!OML:ASF body.asf\n:FULLY-SPECIFIED\n:DEGREES\n{''.join(frames)}".encode()


def trc() -> bytes:
    with folder_of_its_own() as folder:
        write_trc(to_world([pose()])[0], folder / "walk.trc")
        return (folder / "walk.trc").read_bytes()


def c3d() -> bytes:
    with folder_of_its_own() as folder:
        write_c3d(to_world([pose()])[0], folder / "walk.c3d")
        return (folder / "walk.c3d").read_bytes()


def joint_map() -> bytes:
    """For `bvh`, in which left and right have their own names."""
    sided = {
        "hip": "UpLeg",
        "knee": "Leg",
        "ankle": "Foot",
        "shoulder": "Arm",
        "elbow": "ForeArm",
        "wrist": "Hand",
    }
    joints: dict[str, str | list[str]] = {
        f"{side}_{joint}": f"mixamorig:{side.title()}{name}"
        for side in ("left", "right")
        for joint, name in sided.items()
    }
    joints["spine"] = ["mixamorig:Spine", "mixamorig:Spine1"]
    return dumped({"joints": joints, "unit_m": 0.01, "up": "y"})


def ui_prmd() -> bytes:
    """Markers at the joints, in steps of half a millimetre."""
    person = to_world([pose()])[0]
    steps = np.round(np.repeat(person.joints_m, 4, axis=0) / 0.0005).astype(np.int16)
    return npz(
        markers_half_mm=steps,
        marker_names=np.array(marker_names(person.skeleton)),
        clips=np.array([[3, 7, 1, 0, 0, 20], [3, 7, 2, 1, 20, 12]]),
        fps=30,
    )


def joints_npz() -> bytes:
    return npz(joints_m=pose().joints_m[..., [0, 2, 1]], fps=60.0)
