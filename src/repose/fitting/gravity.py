"""Which way is up for a camera that stands still: given, or found from how people keep their balance.

Nobody stands long with the centre of their mass beside their feet. Averaged over time, the direction from
the supporting foot to the centre of mass is up, whatever the trunk does. Places where feet touched the
ground correct it: they lie on one level. Directions are unit vectors in the camera frame (x right, y down,
z forward).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float

from repose.errors import expected
from repose.fitting.contacts import AT_REST_M_S, episodes, find_contacts, speeds
from repose.geometry.rigid import RigidTransform
from repose.geometry.rotation import unit
from repose.sequence import around
from repose.skeleton import H36M_17

# Share of the body's mass in each segment, and how far along it the mass lies (Winter, Biomechanics and
# Motor Control of Human Movement, 2009, table 4.1; hands with forearms, feet with shanks, the trunk
# from the hips to the base of the neck).
_SEGMENTS = (
    ("thorax", "head_top", 0.081, 0.5),
    ("pelvis", "thorax", 0.497, 0.5),
    *((f"{side}_shoulder", f"{side}_elbow", 0.028, 0.436) for side in ("left", "right")),
    *((f"{side}_elbow", f"{side}_wrist", 0.022, 0.682) for side in ("left", "right")),
    *((f"{side}_hip", f"{side}_knee", 0.100, 0.433) for side in ("left", "right")),
    *((f"{side}_knee", f"{side}_ankle", 0.061, 0.606) for side in ("left", "right")),
)
_FEET = ("left_ankle", "right_ankle")
_LEGS, _ARMS = ("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")
SOLE_AHEAD_M = 0.05
"""How far in front of the ankle a foot bears its load, on average."""
SUPPORT_HEIGHT_M, SUPPORT_SPEED_M_S = 0.1, 0.3
"""A foot bears less by a factor of e for being so much higher, or so much faster, than the other."""
USUAL_LEAN = 0.25
"""From about this tangent on, whoever leans aside counts for little beside others who do not."""
STRAIGHT = 0.75
"""A limb bears its person only while its ends are further apart than this share of its length."""
HOLD_S = 1.0
"""Hands above the head that are at rest for most of so long may hold on to something."""
BALANCE_DEVIATION_RAD = 0.09
"""Standard deviation of "up" in each direction as balance tells it, measured on lifted motion capture."""
LEVEL_DEVIATION_M = 0.12
"""Standard deviation of where the lifter puts a foot, along the line of sight above all."""
TRUNK_DEVIATION_DEG, PICTURE_DEVIATION_DEG = 16.0, 25.0
"""What "up" may be off by where trunks or the picture have to tell it."""
PICTURE_UP = np.array([0.0, -1.0, 0.0])
MOST_ASKEW_DEG = 60.0
"""No camera is thought to lean further than this from level and upright."""
SEARCH = 8
"""Rounds of the search: what supports a person depends on what is up."""


@dataclass(frozen=True, eq=False)
class Up:
    """Up for the camera, and how it is known."""

    direction: Float[np.ndarray, "3"]
    source: str
    """In words."""
    deviation_deg: float | None
    """Root mean square of the angle by which it may be wrong; None where it was given."""
    assumed: bool = False
    """Whether nothing that was seen supports it."""

    @property
    def pitch_deg(self) -> float:
        """How far the camera looks down."""
        return float(np.degrees(np.arcsin(np.clip(-self.direction[2], -1, 1))))

    @property
    def roll_deg(self) -> float:
        """How far what is upright leans to the right in the picture."""
        return float(np.degrees(np.arctan2(self.direction[0], -self.direction[1])))

    def T_cam_world(self, height_m: float) -> RigidTransform:
        """Return the way from the world to this camera, which hangs `height_m` above the world's origin.

        World: z up, ground at 0, x where the camera looks (where the top of its picture is, if it looks
        straight down), y to its left.
        """
        z = self.direction
        ahead = np.array([0.0, 0.0, 1.0]) if abs(z[2]) < 0.999 else np.array([0.0, -1.0, 0.0])
        x = ahead - (ahead @ z) * z
        x /= np.linalg.norm(x)
        return RigidTransform(np.stack([x, np.cross(z, x), z], axis=1), -height_m * z)


def stated_up(pitch_deg: float, roll_deg: float) -> Up:
    """Up for a camera that looks down by `pitch_deg`, in whose picture uprights lean right by `roll_deg`.

    Raises UserError for angles that no camera has.
    """
    if not -90 <= pitch_deg <= 90:
        expected("camera pitch", "-90 (looks up) to 90 (looks down) degrees", pitch_deg)
    if not -180 <= roll_deg <= 180:
        expected("camera roll", "-180 to 180 degrees", roll_deg)
    pitch, roll = np.radians([pitch_deg, roll_deg])
    direction = np.array([np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), -np.sin(pitch)])
    return Up(direction, "camera pitch and roll as given", None)


def find_up(
    people: Sequence[Float[np.ndarray, "_ 17 3"]],
    times_s: Sequence[Float[np.ndarray, " _"]],
    seen: Sequence[Bool[np.ndarray, "_ 17"]] | None = None,
) -> Up:
    """Up, from the H36M-17 joints of everybody in the clip where they stand, in metres.

    Everybody has at least one frame. Only limbs that were `seen` (all, unless given) are thought to bear
    anybody. Where nobody is seen on their feet or hands, trunks have to tell it; where that, too, says that
    the camera lies on its side (people lie on the ground), the picture has to. Both are assumptions.
    """
    seen = [np.ones(joints.shape[:2], dtype=bool) for joints in people] if seen is None else seen
    found = _balanced(people, times_s, seen)
    if found is None:
        ends = H36M_17.indices("pelvis", "thorax")
        trunk = np.sum(
            [
                _between(joints, "pelvis", "thorax")[there[:, ends].all(axis=1)].sum(axis=0)
                for joints, there in zip(people, seen, strict=True)
            ],
            axis=0,
        )
        if not trunk.any():
            return Up(PICTURE_UP, "the picture's own: no trunk was seen", PICTURE_DEVIATION_DEG, assumed=True)
        found = Up(
            unit(trunk), "how trunks are held: nobody was seen to stand", TRUNK_DEVIATION_DEG, assumed=True
        )
    if found.direction @ PICTURE_UP < np.cos(np.radians(MOST_ASKEW_DEG)):
        return Up(PICTURE_UP, "the picture's own: nobody stands or sits", PICTURE_DEVIATION_DEG, assumed=True)
    return found


def foot_contacts(
    joints_m: Float[np.ndarray, "frames 17 3"],
    times_s: Float[np.ndarray, " frames"],
    seen: Bool[np.ndarray, "frames 17"],
    up: Float[np.ndarray, "3"],
    feet: tuple[Float[np.ndarray, "frames feet 3"], Bool[np.ndarray, "frames feet"]] | None = None,
) -> Bool[np.ndarray, "frames feet"]:
    """When each of the `feet`, joints and whether they were seen, rests on the ground.

    By default the left and the right ankle. Feet of somebody who hangs, or is upside down, do not.
    """
    if feet is None:
        ankles = H36M_17.indices(*_FEET)
        feet = joints_m[:, ankles], seen[:, ankles]
    touching = find_contacts(feet[0], times_s, up, feet[1])
    return touching & ~(_hangs(joints_m, times_s, up) | _inverted(joints_m, up))[:, None]


def _hangs(joints: np.ndarray, times: np.ndarray, up: np.ndarray) -> np.ndarray:
    """When both hands are at rest above the head, with straight arms: they may hold on to something."""
    hands = joints[:, H36M_17.indices("left_wrist", "right_wrist")]
    above = (hands @ up).min(axis=1) > joints[:, H36M_17.index("head_top")] @ up
    step_s = float(np.median(np.diff(times))) if len(times) > 1 else 1 / 30
    window = 2 * round(HOLD_S / step_s / 2) + 1
    speed_m_s = around(speeds(hands, times), window, partial(np.median, axis=-1)).max(axis=1)
    return above & (speed_m_s < AT_REST_M_S) & (_straightness(joints, _ARMS)[0].min(axis=1) > STRAIGHT)


def _inverted(joints: np.ndarray, up: np.ndarray) -> np.ndarray:
    """When both feet are above the pelvis, and that above the shoulders."""
    height = joints @ up
    pelvis = height[:, H36M_17.index("pelvis")]
    shoulders = height[:, H36M_17.indices("left_shoulder", "right_shoulder")]
    return (height[:, H36M_17.indices(*_FEET)].min(axis=1) > pelvis) & (pelvis > shoulders.max(axis=1))


def _straightness(joints: np.ndarray, limb: tuple[str, str, str]) -> tuple[np.ndarray, np.ndarray]:
    """How far apart the ends of the left and right limb are, as a share of its length; and that length."""
    near, middle, far = (joints[:, H36M_17.indices(f"left_{j}", f"right_{j}")] for j in limb)
    length_m = np.linalg.norm(near - middle, axis=-1) + np.linalg.norm(middle - far, axis=-1)
    return np.linalg.norm(near - far, axis=-1) / np.maximum(length_m, 1e-9), length_m


def _balanced(
    people: Sequence[np.ndarray], times_s: Sequence[np.ndarray], seen: Sequence[np.ndarray]
) -> Up | None:
    """Up from balance and ground contacts; None where nobody is seen on their feet or hands."""
    up = PICTURE_UP
    for _ in range(SEARCH):
        everybody = list(zip(people, times_s, seen, strict=True))
        touching = [foot_contacts(*one, up) for one in everybody]
        feet = [_lean(*one, touch, up) for one, touch in zip(everybody, touching, strict=True)]
        hands = [_lean(*one, None, up) for one in everybody]
        leans = np.array([foot + hand for (foot, _), (hand, _) in zip(feet, hands, strict=True)])
        if not leans.any():
            return None
        trust = _agreement(leans, up)
        on_feet_s, on_hands_s = (trust @ [seconds for _, seconds in leaning] for leaning in (feet, hands))
        balance = unit(trust @ leans)
        places = [_levels(*one) for one in zip(people, touching, strict=True)]
        spread = np.einsum("p,pij->ij", trust, [place.T @ place for place in places])
        # Two independent sources: up is near `balance`, and at right angles to the ways between contacts.
        certainty = np.eye(3) / BALANCE_DEVIATION_RAD**2 + spread / LEVEL_DEVIATION_M**2
        up = unit(np.linalg.solve(certainty, balance))
    across = np.linalg.svd(np.eye(3) - np.outer(up, up))[0][:, :2]
    variance_rad2 = np.trace(np.linalg.inv(across.T @ certainty @ across))
    touches = sum(map(len, places))
    contacts = f", and {touches} ground contacts" if touches > 1 else ""
    spans = ((on_feet_s, "feet"), (on_hands_s, "hands"))
    borne = " and ".join(f"{seconds:.1f} s on their {limbs}" for seconds, limbs in spans if seconds >= 0.05)
    return Up(up, f"balance over {borne}{contacts}", float(np.degrees(np.sqrt(variance_rad2))))


def _agreement(
    leans: Float[np.ndarray, "people 3"], up: Float[np.ndarray, "3"]
) -> Float[np.ndarray, " people"]:
    """What each person's balance counts for, 0 to 1, beside that of whoever agrees best with `up`.

    People in a picture within the picture, or lifted badly, may lean anyhow.
    """
    rise = leans @ up
    aside = np.linalg.norm(leans - rise[:, None] * up, axis=-1) / np.maximum(rise, 1e-9)
    trust = (1 + (aside / USUAL_LEAN) ** 2) ** -2
    return trust / trust[leans.any(axis=1)].max()


def centre_of_mass(joints_m: Float[np.ndarray, "frames 17 3"]) -> Float[np.ndarray, "frames 3"]:
    """Centre of mass of a body with the joints of H36M-17."""
    mass = sum(share for _, _, share, _ in _SEGMENTS)
    parts = [
        share / mass * (joints_m[:, H36M_17.index(start)] + along * _between(joints_m, start, end))
        for start, end, share, along in _SEGMENTS
    ]
    return np.sum(parts, axis=0)


def _lean(
    joints: np.ndarray, times: np.ndarray, seen: np.ndarray, touching: np.ndarray | None, up: np.ndarray
) -> tuple[np.ndarray, float]:
    """From the supporting foot to the centre of mass, in heights above it, summed over time; and the time.

    `touching` says when feet rest; None asks about hands, which bear only who is upside down.
    """
    limb = _ARMS if touching is None else _LEGS
    ends = joints[:, H36M_17.indices(f"left_{limb[2]}", f"right_{limb[2]}")]
    speed_m_s = speeds(ends, times)
    burden = (ends @ up) / SUPPORT_HEIGHT_M + speed_m_s / SUPPORT_SPEED_M_S
    share = np.exp(burden.min(axis=1, keepdims=True) - burden)
    share /= share.sum(axis=1, keepdims=True)
    ahead = np.cross(_between(joints, "right_hip", "left_hip"), up)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=-1, keepdims=True), 1e-9)
    lean = centre_of_mass(joints) - (share[..., None] * ends).sum(axis=1) - SOLE_AHEAD_M * ahead
    rise = lean @ up
    straight, length_m = _straightness(joints, limb)
    visible = np.all([seen[:, H36M_17.indices(f"left_{j}", f"right_{j}")] for j in limb], axis=0)
    inverted = _inverted(joints, up)
    bears = inverted if touching is None else ~(inverted | _hangs(joints, times, up))
    standing = (
        bears
        & ((share * visible).sum(axis=1) > 0.5)
        & ((share * straight).sum(axis=1) > STRAIGHT)
        & (rise > 0.3 * length_m.mean(axis=1))
    )
    step_s = float(np.median(np.diff(times))) if len(times) > 1 else 1 / 30
    resting = speed_m_s < AT_REST_M_S if touching is None else touching
    counts = step_s * (1 + (share * resting).sum(axis=1))  # a limb at rest surely bears: twice
    leaned = counts[standing] @ (lean[standing] / rise[standing, None])
    return leaned, float(standing.sum() * step_s)


def _levels(joints: np.ndarray, touching: np.ndarray) -> np.ndarray:
    """Where feet touched the ground, from the middle of these places."""
    ankles = joints[:, H36M_17.indices(*_FEET)]
    places = [ankles[rows, foot].mean(axis=0) for foot in range(2) for rows in episodes(touching[:, foot])]
    return np.array(places) - np.mean(places, axis=0) if places else np.zeros((0, 3))


def _between(joints: np.ndarray, start: str, end: str) -> np.ndarray:
    return joints[:, H36M_17.index(end)] - joints[:, H36M_17.index(start)]
