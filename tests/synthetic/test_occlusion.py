"""Hidden joints against rays cast through spheres, and on poses where anyone can tell."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from repose.skeleton import H36M_17, stature
from repose.synthetic.occlusion import BODY, OCCLUDERS, Billboards, counter, passers_by, self_occluded, wall
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.synthetic.virtual_camera import CameraConfig, sample_views

INDEX = H36M_17.index


def upright(**moved: tuple[float, float, float]) -> Tensor:
    """One frame of somebody 1.7 m tall who faces the camera, 4 m away; `moved` joints elsewhere."""
    place = {
        "pelvis": (0.0, 0.0, 4.0),
        "spine": (0.0, -0.25, 4.0),
        "thorax": (0.0, -0.50, 4.0),
        "nose": (0.0, -0.62, 3.96),
        "head_top": (0.0, -0.80, 4.0),
    }
    for side, x in (("left", 1.0), ("right", -1.0)):  # the left hand is on the right of the picture
        place |= {
            f"{side}_hip": (x * 0.11, 0.0, 4.0),
            f"{side}_knee": (x * 0.12, 0.42, 4.0),
            f"{side}_ankle": (x * 0.12, 0.84, 4.0),
            f"{side}_shoulder": (x * 0.19, -0.48, 4.0),
            f"{side}_elbow": (x * 0.30, -0.22, 4.0),
            f"{side}_wrist": (x * 0.36, 0.02, 4.0),
        }
    place |= moved
    return torch.tensor([place[joint] for joint in H36M_17.joints])[None, None]


def turned(joints: Tensor, degrees: float) -> Tensor:
    """Turned to the subject's own left about the vertical through the pelvis."""
    angle = math.radians(degrees)
    pelvis = joints[..., :1, :]
    x, y, z = (joints - pelvis).unbind(-1)
    c, s = math.cos(angle), math.sin(angle)
    return torch.stack([c * x - s * z, y, s * x + c * z], dim=-1) + pelvis


def hidden(joints: Tensor) -> set[str]:
    return {H36M_17.joints[i] for i in self_occluded(joints)[0, 0].nonzero()[:, 0].tolist()}


def test_nothing_is_hidden_of_somebody_who_faces_the_camera() -> None:
    assert hidden(upright()) == set()


def test_a_hand_behind_the_back_is_hidden_and_one_before_the_belly_is_not() -> None:
    behind = {"left_elbow": (0.32, -0.25, 4.08), "left_wrist": (0.10, -0.15, 4.16)}
    assert hidden(upright(**behind)) == {"left_wrist"}
    before = {"left_elbow": (0.32, -0.25, 3.92), "left_wrist": (0.13, -0.15, 3.84)}
    assert hidden(upright(**before)) == set()


def test_in_profile_the_far_side_is_hidden_and_the_near_one_is_not() -> None:
    for far, near, angle in (("left", "right", 90.0), ("right", "left", -90.0)):
        joints = hidden(turned(upright(), angle))
        assert {
            f"{far}_{joint}" for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
        } <= joints
        # The near hand hangs before the near hip.
        assert {joint for joint in joints if joint.startswith(near)} == {f"{near}_hip"}


def test_a_shin_crossed_before_the_other_hides_it() -> None:
    crossed = {"right_knee": (-0.03, 0.42, 3.85), "right_ankle": (0.14, 0.80, 3.86)}
    assert hidden(upright(**crossed)) == {"left_ankle"}


@pytest.fixture(scope="module")
def views() -> Tensor:
    """30 bodies of procedural motion, which are not symmetric, as cameras all around see them."""
    motions = np.stack(list(make_motion(ProceduralConfig(clips=30, seconds=2.0, fps=5.0, p_floor=0.3), 3)))
    return sample_views(torch.from_numpy(motions), CameraConfig(), torch.Generator().manual_seed(3))[1]


def clearance(joints_m: Tensor) -> Tensor:
    """How far each line of sight passes the skin of the nearest part not its own; negative within, metres.

    Each part is cut into spheres and each line of sight into points: nothing of the tested formula is used.
    """
    joints = joints_m.double()
    height = stature(joints).mean(dim=1)
    nearest = torch.full(joints.shape[:3], torch.inf, dtype=torch.float64)
    for part in BODY:
        ends = [
            sum(weight * joints[:, :, INDEX(joint)] for joint, weight in end.items())
            for end in (part.start, part.end)
        ]
        for share in torch.linspace(0, 1, 60):
            centre = torch.lerp(ends[0], ends[1], share.double())
            for joint in set(H36M_17.joints) - set(part.own):
                i = INDEX(joint)
                flesh = min(other.radius for other in BODY if joint in other.own) * height
                target = joints[:, :, i]
                length = target.norm(dim=-1)
                reach = length - flesh[:, None]
                # From the sphere's height along the ray, kept between the camera and the skin.
                along = ((centre * target).sum(-1) / length).clamp(min=0).minimum(reach)
                point = target * (along / length)[..., None]
                gap = (point - centre).norm(dim=-1) - part.radius * height[:, None]
                nearest[:, :, i] = torch.minimum(nearest[:, :, i], gap)
    return nearest


def test_hidden_joints_are_those_whose_rays_meet_spheres(views: Tensor) -> None:
    found, gap = self_occluded(views), clearance(views)
    # Spheres a sixtieth of a bone apart leave grooves between them of less than half a millimetre.
    sure = gap.abs() > 0.0005
    assert (~sure).float().mean() < 0.01
    assert torch.equal(found[sure], (gap < 0)[sure])
    assert 0.08 < found.float().mean() < 0.25
    # Left and right are hidden in different frames: exchanging them would be found.
    sides = (H36M_17.indices("left_wrist", "left_knee"), H36M_17.indices("right_wrist", "right_knee"))
    assert not torch.equal(found[..., sides[0]], found[..., sides[1]])


def assert_hidden_alike(one: Tensor, other: Tensor) -> None:
    """Rounding decides of a joint whose line of sight grazes the skin."""
    assert one.shape == other.shape
    assert (one != other).float().mean() < 0.001


def test_the_mirror_image_has_the_mirrored_joints_hidden(views: Tensor) -> None:
    mirror = list(H36M_17.mirror)
    image = views[:, :, mirror] * torch.tensor([-1.0, 1.0, 1.0])
    assert_hidden_alike(self_occluded(image), self_occluded(views)[:, :, mirror])


def test_size_and_distance_together_do_not_matter(views: Tensor) -> None:
    assert_hidden_alike(self_occluded(views * 2), self_occluded(views))


def test_frames_do_not_know_of_each_other(views: Tensor) -> None:
    assert_hidden_alike(self_occluded(views[:10])[2:3], self_occluded(views[2:3]))


def test_a_board_hides_what_is_behind_it_and_nothing_before_it() -> None:
    joints = upright()
    board = Billboards(
        centre=torch.tensor([[[[0.05, 0.15]]]]),
        half_size=torch.tensor([[[0.05, 0.10]]]),
        depth_m=torch.tensor([[3.9]]),
    )
    # To the right of the picture, from x/z = 0 to 0.1 and y/z = 0.05 to 0.25: the left leg.
    legs = {"left_knee", "left_ankle"}
    assert {H36M_17.joints[i] for i in board.hides(joints)[0, 0].nonzero()[:, 0].tolist()} == legs
    assert not board.hides(joints - torch.tensor([0.0, 0.0, 0.2])).any()


@pytest.mark.parametrize("kind", OCCLUDERS)
def test_things_stand_before_the_person_and_hide_some_of_them(kind: str, views: Tensor) -> None:
    billboards = OCCLUDERS[kind](views, 5.0, torch.Generator().manual_seed(0))
    hidden = billboards.hides(views)
    assert (billboards.depth_m < views[..., 2].amin(dim=(1, 2))[:, None]).all()
    assert 0.02 < hidden.float().mean() < 0.6
    touched = hidden.flatten(1).any(dim=1).float().mean()
    assert touched > 0.6
    again = OCCLUDERS[kind](views, 5.0, torch.Generator().manual_seed(0)).hides(views)
    assert torch.equal(again, hidden)
    assert not torch.equal(OCCLUDERS[kind](views, 5.0, torch.Generator().manual_seed(1)).hides(views), hidden)


def test_a_counter_hides_the_feet_first_and_a_wall_one_side() -> None:
    joints = upright().expand(40, 3, -1, -1)
    ankles, head = H36M_17.indices("left_ankle", "right_ankle"), INDEX("head_top")
    below = counter(joints, 30.0, torch.Generator().manual_seed(0)).hides(joints)
    assert below[..., ankles].all()
    assert not below[..., head].any()
    cut = wall(joints, 30.0, torch.Generator().manual_seed(0)).hides(joints)
    left, right = (cut[..., H36M_17.side(side)].float().mean(dim=(1, 2)) for side in ("left", "right"))
    assert ((left > right) != (right > left)).all()
    assert 0.2 < (left > right).float().mean() < 0.8


def test_people_pass_by_at_walking_speed() -> None:
    joints = upright().expand(20, 240, -1, -1)
    billboards = passers_by(joints, 30.0, torch.Generator().manual_seed(0))
    assert billboards.centre.shape == (20, 240, 2, 2)
    speed = billboards.centre[..., 0].diff(dim=1).abs() * 30 * billboards.depth_m[:, None]
    assert 0.9 < speed.min() < speed.max() < 1.6
    hidden = billboards.hides(joints)[..., INDEX("pelvis")]
    assert hidden.any(dim=1).all()  # everybody is hidden at some time
    assert not hidden.all(dim=1).any()  # and nobody for good
