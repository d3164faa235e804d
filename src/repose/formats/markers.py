"""Names of joints as markers: those that Pose2Sim gives them (HALPE_26 and the like)."""

from repose.skeleton import Skeleton

_NAMES = {"pelvis": "Hip", "thorax": "Neck", "head_top": "Head", "head": "Nose"}


def marker_names(skeleton: Skeleton) -> tuple[str, ...]:
    """The markers of a layout's joints: `left_knee` is LKnee, `right_big_toe` RBigToe, `head_top` Head.

    Pose2Sim has no marker at H36M-17's `spine`; it is called Spine.
    """
    return tuple(_NAMES.get(joint) or _name(joint) for joint in skeleton.joints)


def _name(joint: str) -> str:
    side, _, rest = joint.partition("_")
    if side in ("left", "right"):
        return side[0].upper() + _name(rest)
    return joint.title().replace("_", "")
