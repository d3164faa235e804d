"""Augmentation keeps a body a body: bone lengths, and left and right."""

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from repose.skeleton import H36M_17
from repose.synthetic.augment import exchange_arms, mirror, resize_bones, shift_joints, trunk_frame
from repose.synthetic.procedural import ProceduralConfig, make_motion

MIRROR = list(H36M_17.mirror)
BATCH = 6
ALL = torch.ones(BATCH, dtype=torch.bool)
NONE = ~ALL
ARMS = H36M_17.indices(*(f"{s}_{j}" for s in ("left", "right") for j in ("shoulder", "elbow", "wrist")))


@pytest.fixture(scope="module")
def joints() -> Tensor:
    clips = list(make_motion(ProceduralConfig(clips=BATCH, seconds=0.5), seed=8))
    return torch.from_numpy(np.stack(clips)).double()


def lengths(joints: Tensor) -> Tensor:
    """Of every bone, (batch, frames, bones)."""
    children, parents = map(list, zip(*H36M_17.bones, strict=True))
    return (joints[:, :, children] - joints[:, :, parents]).norm(dim=-1)


def partner_bones() -> list[int]:
    return [H36M_17.bones.index((MIRROR[c], MIRROR[p])) for c, p in H36M_17.bones]


def handedness(joints: Tensor) -> Tensor:
    """Side of the nose on which the left shoulder is: the sign of a triple product, which a reflection
    without an exchange of the names would turn."""
    i = H36M_17.index
    across = joints[:, :, i("left_shoulder")] - joints[:, :, i("right_shoulder")]
    up = joints[:, :, i("spine")] - joints[:, :, i("pelvis")]
    forward = joints[:, :, i("nose")] - joints[:, :, i("thorax")]
    return (torch.linalg.cross(across, up) * forward).sum(-1)


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_mirror_exchanges_the_sides_of_the_chosen_clips(joints: Tensor) -> None:
    which = torch.tensor([True, False, True, False, False, True])
    mirrored = mirror(joints, which)
    assert torch.equal(mirrored[~which], joints[~which])
    left, right = H36M_17.indices("left_wrist", "right_wrist")
    assert torch.equal(mirrored[which][:, :, left, 0], -joints[which][:, :, right, 0])
    assert torch.equal(mirrored[which][:, :, left, 1:], joints[which][:, :, right, 1:])
    assert not torch.equal(mirrored[which], joints[which])
    assert torch.equal(mirror(mirrored, which), joints)


def test_mirror_keeps_left_left_and_bones_their_lengths(joints: Tensor) -> None:
    mirrored = mirror(joints, ALL)
    torch.testing.assert_close(handedness(mirrored), handedness(joints))
    torch.testing.assert_close(lengths(mirrored), lengths(joints)[..., partner_bones()])


def test_bones_are_resized_by_one_factor_a_clip_on_both_sides(joints: Tensor) -> None:
    resized = resize_bones(joints, 0.1, generator())
    factors = lengths(resized) / lengths(joints)
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors), atol=1e-6, rtol=0)
    torch.testing.assert_close(factors, factors[..., partner_bones()], atol=1e-6, rtol=0)
    assert factors.std(dim=0).min() > 0.01  # every bone, differently in every clip
    assert torch.equal(resized[:, :, 0], joints[:, :, 0])


def test_resized_bones_keep_their_directions(joints: Tensor) -> None:
    resized = resize_bones(joints, 0.1, generator())
    for child, parent in H36M_17.bones:
        one = joints[:, :, child] - joints[:, :, parent]
        other = resized[:, :, child] - resized[:, :, parent]
        torch.testing.assert_close(
            one / one.norm(dim=-1, keepdim=True), other / other.norm(dim=-1, keepdim=True)
        )


def test_the_spread_of_the_factors(joints: Tensor) -> None:
    many = joints[:1, :1].expand(4000, 1, 17, 3)
    factors = (lengths(resize_bones(many, 0.05, generator())) / lengths(many))[:, 0].log()
    spread = dict(zip((H36M_17.joints[c] for c, _ in H36M_17.bones), factors.std(0).tolist(), strict=True))
    for joint, value in spread.items():
        widths = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")
        wanted = 0.15 if joint in widths else 0.10 if joint == "nose" else 0.05
        assert value == pytest.approx(wanted, rel=0.1), joint
    assert factors.mean(0).abs().max() < 0.015
    torch.testing.assert_close(resize_bones(joints, 0.0, generator()), joints)
    extreme = lengths(resize_bones(many, 3.0, generator())) / lengths(many)
    assert extreme.max().item() == pytest.approx(np.exp(0.6), rel=1e-4)


def test_the_trunk_frame_is_a_rotation_with_forward_ahead(joints: Tensor) -> None:
    R = trunk_frame(joints)
    identity = torch.eye(3, dtype=R.dtype).expand_as(R)
    torch.testing.assert_close(R.mT @ R, identity)
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(R.shape[:2], dtype=R.dtype))
    left, up, forward = R.unbind(-1)
    i = H36M_17.index

    def towards(axis: Tensor, joint: str, origin: str) -> Tensor:
        return (axis * (joints[:, :, i(joint)] - joints[:, :, i(origin)])).sum(-1)

    assert towards(left, "left_shoulder", "right_shoulder").min() > 0
    assert towards(up, "thorax", "pelvis").min() > 0
    assert towards(forward, "nose", "thorax").mean() > 0


def test_the_trunk_frame_of_a_known_figure() -> None:
    figure = torch.zeros(1, 1, 17, 3, dtype=torch.float64)
    # Stands upright, looks along world -y; its left is at world +x. The right arm points ahead.
    for joint, place in {
        "thorax": (0, 0, 1.5),
        "pelvis": (0, 0, 1),
        "left_shoulder": (0.2, 0, 1.5),
        "right_shoulder": (-0.2, 0, 1.4),
    }.items():
        figure[0, 0, H36M_17.index(joint)] = torch.tensor(place, dtype=torch.float64)
    left, up, forward = trunk_frame(figure)[0, 0].T.tolist()
    assert left == pytest.approx([1, 0, 0])
    assert up == pytest.approx([0, 0, 1])
    assert forward == pytest.approx([0, -1, 0])


def test_exchanged_arms_keep_the_body_and_bone_lengths(joints: Tensor) -> None:
    which = torch.tensor([True, True, False, True, False, True])
    exchanged = exchange_arms(joints, which, generator())
    assert torch.equal(exchanged[~which], joints[~which])
    others = [i for i in range(17) if i not in ARMS]
    assert torch.equal(exchanged[:, :, others], joints[:, :, others])
    torch.testing.assert_close(lengths(exchanged), lengths(joints))
    assert (exchanged - joints)[which][:, :, ARMS].abs().amax((1, 2, 3)).max() > 0.1


def test_exchanged_arms_are_the_donors_seen_from_its_trunk(joints: Tensor) -> None:
    exchanged = exchange_arms(joints, ALL, generator(3))
    donor = torch.randperm(BATCH, generator=generator(3))
    assert (donor != torch.arange(BATCH)).any()
    for side in ("left", "right"):
        for child, parent in ((f"{side}_elbow", f"{side}_shoulder"), (f"{side}_wrist", f"{side}_elbow")):
            directions = []
            for body in (exchanged, joints[donor]):
                bone = body[:, :, H36M_17.index(child)] - body[:, :, H36M_17.index(parent)]
                frame = trunk_frame(joints) if body is exchanged else trunk_frame(body)
                inside = (frame.mT @ bone[..., None])[..., 0]
                directions.append(inside / inside.norm(dim=-1, keepdim=True))
            torch.testing.assert_close(*directions)


def test_a_clip_alone_keeps_its_arms(joints: Tensor) -> None:
    torch.testing.assert_close(exchange_arms(joints[:1], ALL[:1], generator()), joints[:1])


def test_the_generator_decides(joints: Tensor) -> None:
    for change in (
        lambda g: resize_bones(joints, 0.1, g),
        lambda g: exchange_arms(joints, ALL, g),
    ):
        assert torch.equal(change(generator(1)), change(generator(1)))
        assert not torch.equal(change(generator(1)), change(generator(2)))
    assert torch.equal(exchange_arms(joints, NONE, generator()), joints)


def test_shifts_stay_in_the_trunk_and_are_the_same_on_both_sides(joints: Tensor) -> None:
    spread = 0.02
    shifted = shift_joints(joints, spread, generator())
    local = (trunk_frame(joints).mT[:, :, None] @ (shifted - joints)[..., None])[..., 0]
    torch.testing.assert_close(local, local[:, :1].expand_as(local), atol=1e-5, rtol=0)  # constant in time
    limbs = [i for i, name in enumerate(H36M_17.joints) if name.split("_")[-1] in LIMB_ENDS]
    assert torch.equal(shifted[:, :, limbs], joints[:, :, limbs])
    for joint in ("hip", "shoulder"):
        left, right = (local[:, 0, H36M_17.index(f"{side}_{joint}")] for side in ("left", "right"))
        torch.testing.assert_close(left, right * torch.tensor([-1.0, 1.0, 1.0]), atol=1e-5, rtol=0)
    middle = local[:, :, H36M_17.indices("pelvis", "spine", "thorax", "nose", "head_top"), 0]
    assert middle.abs().max() < 1e-5
    hips = shifted[:, :, H36M_17.indices("left_hip", "right_hip")].mean(2)
    hips_before = joints[:, :, H36M_17.indices("left_hip", "right_hip")].mean(2)
    torch.testing.assert_close(shifted[:, :, 0] - joints[:, :, 0], hips - hips_before, atol=1e-5, rtol=0)
    assert 0.3 * spread < local[:, 0].abs().max() <= 4 * spread + 1e-5
    torch.testing.assert_close(shift_joints(joints, 0.0, generator()), joints)


LIMB_ENDS = ("knee", "ankle", "elbow", "wrist")
