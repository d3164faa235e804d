import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jaxtyping import config
from scipy.spatial.transform import Rotation

from repose import metrics
from repose.errors import UserError
from repose.skeleton import H36M_17, SKELETONS

TWO_POSES = (
    "per_joint_error", "mpjpe", "p_mpjpe", "n_mpjpe", "procrustes_align", "velocity_error_per_frame",
    "acceleration_error_per_frame", "pck", "auc", "bone_length_error", "depth_order_accuracy",
)  # fmt: skip


@pytest.fixture
def clip():
    """Predicted and true joints of 12 frames, in metres; nothing about them is symmetric."""
    random = np.random.default_rng(7)
    target = random.normal(size=(12, 17, 3)) * [0.3, 0.7, 0.4] + [0.5, -0.2, 4.0]
    return target + 0.08 * random.normal(size=target.shape), target


@pytest.fixture(scope="module")
def published(parity):
    with np.load(parity / "losses.npz") as file:
        return {name.removeprefix("metrics/"): file[name] for name in file if name.startswith("metrics/")}


@pytest.mark.parametrize(
    ("name", "fixture"),
    [
        ("mpjpe", "mpjpe"),
        ("p_mpjpe", "p_mpjpe"),
        ("per_joint_error", "per_joint"),
        ("acceleration_error_per_frame", "acceleration_per_frame2"),
    ],
)
def test_published_values(name, fixture, published):
    ours = getattr(metrics, name)(published["pred_mm"], published["gt_mm"])
    np.testing.assert_allclose(ours, published[fixture], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", TWO_POSES)
def test_float32_and_a_batch_in_front_change_nothing(name, clip):
    metric, pair = getattr(metrics, name), [x.astype(np.float32) for x in clip]
    whole = metric(*pair)
    halves = metric(*(np.stack([x[:6], x[6:]]) for x in pair))
    np.testing.assert_allclose(metric(*(x.astype(np.float64) for x in pair)), whole, rtol=1e-12)
    for part, frames in zip(halves, (slice(0, 6), slice(6, 12)), strict=True):
        np.testing.assert_allclose(part, metric(*(x[frames] for x in pair)), rtol=1e-12)


@pytest.mark.parametrize("name", TWO_POSES)
def test_shapes_that_would_broadcast_are_refused(name, clip):
    config.update("jaxtyping_disable", True)  # as users run it
    try:
        with pytest.raises(UserError, match=r"expected the prediction's, \(1, 17, 3\), found \(12, 17, 3\)"):
            getattr(metrics, name)(clip[0][:1], clip[1])
    finally:
        config.update("jaxtyping_disable", False)


def test_distances_against_loops(clip):
    predicted, target = clip
    error = np.array(
        [[sum((a - b) ** 2 for a, b in zip(p, t, strict=True)) ** 0.5 for p, t in zip(*pose, strict=True)]
         for pose in zip(predicted, target, strict=True)]
    )  # fmt: skip
    np.testing.assert_allclose(metrics.per_joint_error(predicted, target), error)
    np.testing.assert_allclose(metrics.mpjpe(predicted, target), [sum(row) / 17 for row in error])
    for threshold in (0.1, 0.15):
        share = [sum(e < threshold for e in row) / 17 for row in error]
        np.testing.assert_allclose(metrics.pck(predicted, target, threshold), share)
    curve = [[sum(1000 * e < mm for e in row) / 17 for mm in range(0, 151, 5)] for row in error]
    np.testing.assert_allclose(metrics.auc(predicted, target), np.mean(curve, axis=1))
    np.testing.assert_allclose(metrics.auc(1000 * predicted, 1000 * target, 150.0), np.mean(curve, axis=1))


def test_a_joint_exactly_at_the_threshold_is_not_correct(clip):
    target = np.zeros((1, 17, 3))
    predicted = target + np.array([0.0, 0.0, 150.0])
    assert metrics.pck(predicted, target, 150.0) == [0.0]
    assert metrics.pck(predicted, target, 150.001) == [1.0]
    assert metrics.auc(target, target) == [30 / 31]
    assert metrics.auc(target + np.array([0.0, 100.0, 0.0]), target, 150.0) == pytest.approx([10 / 31])


similarities = st.tuples(
    arrays("float64", 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1),
    st.floats(0.05, 20),
    arrays("float64", 3, elements=st.floats(-50, 50)),
)


@settings(deadline=None, max_examples=40)
@given(similarities)
def test_p_mpjpe_does_not_see_a_similarity_of_the_prediction(similarity):
    quaternion, scale, shift = similarity
    random = np.random.default_rng(3)
    predicted, target = random.normal(size=(2, 4, 17, 3))
    moved = scale * predicted @ Rotation.from_quat(quaternion).as_matrix() + shift
    np.testing.assert_allclose(metrics.p_mpjpe(moved, target), metrics.p_mpjpe(predicted, target), atol=1e-9)
    np.testing.assert_allclose(metrics.p_mpjpe(moved, predicted), 0, atol=1e-9)
    np.testing.assert_allclose(metrics.p_mpjpe(predicted, moved), 0, atol=1e-9 * scale)


def test_p_mpjpe_sees_a_reflection(clip):
    target = clip[1]
    for axis in range(3):
        mirrored = target * np.where(np.arange(3) == axis, -1.0, 1.0)
        assert (metrics.p_mpjpe(mirrored, target) > 0.1).all()


def test_alignment_is_the_least_squares_one(clip):
    """Against SciPy's rotation of centred points, and no small motion of it may be better."""
    predicted, target = clip
    aligned = metrics.procrustes_align(predicted, target)
    for pose, goal, ours in zip(predicted, target, aligned, strict=True):
        source, centre = pose - pose.mean(axis=0), goal.mean(axis=0)
        rotation, _ = Rotation.align_vectors(goal - centre, source)
        turned = rotation.apply(source)
        scale = (turned * (goal - centre)).sum() / (turned**2).sum()
        np.testing.assert_allclose(ours, scale * turned + centre, atol=1e-9)
    squares = ((aligned - target) ** 2).sum()
    centre = aligned.mean(axis=1, keepdims=True)
    for motion in (Rotation.from_rotvec([0.01, 0, 0]).as_matrix(), 1.01 * np.eye(3), 0.99 * np.eye(3)):
        assert (((aligned - centre) @ motion + centre - target) ** 2).sum() > squares


def test_flat_and_collapsed_poses_align(clip):
    target = clip[1]
    flat = target * [1.0, 1.0, 0.0]
    np.testing.assert_allclose(
        metrics.p_mpjpe(flat @ Rotation.from_euler("x", 1).as_matrix(), flat), 0, atol=1e-9
    )
    collapsed = np.broadcast_to(target[:, :1], target.shape)
    centre = target.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(
        metrics.p_mpjpe(collapsed, target), metrics.mpjpe(np.broadcast_to(centre, target.shape), target)
    )


def test_alignment_by_some_joints_carries_the_others(clip):
    predicted, target = clip
    legs = np.isin(
        H36M_17.joints, [joint for joint in H36M_17.joints if joint.endswith(("hip", "knee", "ankle"))]
    )
    unknown = np.where(legs[:, None], target, np.nan)
    aligned = metrics.procrustes_align(predicted, unknown, fit=legs)
    np.testing.assert_allclose(
        aligned[:, legs], metrics.procrustes_align(predicted[:, legs], target[:, legs])
    )
    assert metrics.p_mpjpe(aligned, predicted) == pytest.approx(0, abs=1e-9)

    some = np.tile(legs, (12, 1))
    some[3] = False
    some[4], some[4, :2] = False, True
    partly = metrics.procrustes_align(predicted, target, fit=some)
    assert np.isnan(partly).all(axis=(1, 2)).tolist() == [frame in (3, 4) for frame in range(12)]
    np.testing.assert_allclose(np.delete(partly, [3, 4], axis=0), np.delete(aligned, [3, 4], axis=0))


def test_a_frame_with_nan_spoils_no_other(clip):
    predicted, target = clip[0].copy(), clip[1]
    predicted[5, 2, 1] = np.nan
    for name in ("mpjpe", "p_mpjpe", "n_mpjpe"):
        spoilt, clean = getattr(metrics, name)(predicted, target), getattr(metrics, name)(*clip)
        assert np.isnan(spoilt).nonzero()[0].tolist() == [5]
        np.testing.assert_allclose(np.delete(spoilt, 5), np.delete(clean, 5))


def test_n_mpjpe_does_not_see_scale_and_is_best_in_squares(clip):
    predicted, target = clip
    expected = metrics.n_mpjpe(predicted, target)
    np.testing.assert_allclose(metrics.n_mpjpe(0.3 * predicted, target), expected)
    np.testing.assert_allclose(metrics.n_mpjpe(7 * target, target), 0, atol=1e-12)
    factor = (predicted * target).sum(axis=(1, 2)) / (predicted**2).sum(axis=(1, 2))
    np.testing.assert_allclose(metrics.mpjpe(factor[:, None, None] * predicted, target), expected)
    np.testing.assert_allclose(
        metrics.n_mpjpe(0 * target, target), metrics.mpjpe(0 * target, target)
    )  # nothing to scale


def test_motion_errors_have_true_units():
    """An error that grows by 2 m/s along x and 6 m/s² along y, seen at two rates."""
    for fps in (25.0, 50.0):
        time_s = np.arange(20)[:, None] / fps
        target = np.random.default_rng(1).normal(size=(20, 17, 3))
        drift = target + np.stack([2 * time_s, 0 * time_s, 0 * time_s], axis=-1)
        np.testing.assert_allclose(metrics.velocity_error(drift, target, fps), np.full(19, 2.0))
        np.testing.assert_allclose(metrics.velocity_error_per_frame(drift, target), np.full(19, 2 / fps))
        np.testing.assert_allclose(metrics.acceleration_error(drift, target, fps), 0, atol=1e-9)
        fall = target + np.stack([0 * time_s, 3 * time_s**2, 0 * time_s], axis=-1)
        np.testing.assert_allclose(metrics.acceleration_error(fall, target, fps), np.full(18, 6.0))
        np.testing.assert_allclose(
            metrics.acceleration_error_per_frame(fall, target), np.full(18, 6 / fps**2)
        )


def test_one_frame_has_no_motion_error(clip):
    predicted, target = (x[:1] for x in clip)
    assert metrics.velocity_error(predicted, target, 50.0).shape == (0,)
    assert metrics.acceleration_error(predicted, target, 50.0).shape == (0,)


def test_bone_lengths_against_names(clip):
    predicted, target = clip

    def length(joints, a, b):
        return np.linalg.norm(joints[:, H36M_17.index(a)] - joints[:, H36M_17.index(b)], axis=-1)

    bones = [(H36M_17.joints[child], H36M_17.joints[parent]) for child, parent in H36M_17.bones]
    errors = [abs(length(predicted, *bone) - length(target, *bone)) for bone in bones]
    np.testing.assert_allclose(metrics.bone_length_error(predicted, target), np.mean(errors, axis=0))
    halves = [("hip", "pelvis"), ("knee", "hip"), ("ankle", "knee"), ("shoulder", "thorax"),
              ("elbow", "shoulder"), ("wrist", "elbow")]  # fmt: skip

    def side(which, joint):
        return joint if joint in ("pelvis", "thorax") else f"{which}_{joint}"

    differences = [
        abs(np.subtract(*(length(target, side(s, a), side(s, b)) for s in ("left", "right"))))
        for a, b in halves
    ]
    np.testing.assert_allclose(metrics.symmetry_error(target), np.mean(differences, axis=0))


@pytest.mark.parametrize("name", ["h36m-17", "mpi-17", "halpe-26"])
def test_a_mirrored_body_is_symmetric(name):
    skeleton = SKELETONS[name]
    joints = np.random.default_rng(2).normal(size=(3, len(skeleton), 3))
    mirrored = joints[:, skeleton.mirror] * [-1, 1, 1]
    assert (metrics.symmetry_error(joints, skeleton) > 0.01).all()
    np.testing.assert_allclose(metrics.symmetry_error(joints + mirrored, skeleton), 0, atol=1e-12)


def test_bones_need_their_skeleton():
    with pytest.raises(UserError, match="joints of skeleton h36m-17: expected 17, found 26"):
        metrics.symmetry_error(np.zeros((1, 26, 3)))


@pytest.mark.parametrize("axis", ["joints", "frames"])
@pytest.mark.parametrize("min_gap", [0.0, 0.3])
def test_depth_order_against_loops(axis, min_gap):
    random = np.random.default_rng(4)
    predicted, target = random.normal(size=(2, 9, 6, 3)).round(1)
    rows = [x[..., 2] if axis == "joints" else x[..., 2].T for x in (predicted, target)]
    shares = []
    for guess, truth in zip(*rows, strict=True):
        pairs = [(i, j) for i in range(len(truth)) for j in range(i) if abs(truth[i] - truth[j]) > min_gap]
        shares.append(np.mean([(guess[i] - guess[j]) * (truth[i] - truth[j]) > 0 for i, j in pairs]))
    np.testing.assert_allclose(metrics.depth_order_accuracy(predicted, target, axis, min_gap), shares)


def test_depth_order_of_known_cases(clip):
    target = clip[1]
    warped = target.copy()
    warped[..., 2] = np.exp(target[..., 2])
    assert (metrics.depth_order_accuracy(warped, target) == 1).all()
    assert (metrics.depth_order_accuracy(-target, target) == 0).all()
    assert (metrics.depth_order_accuracy(0 * target, target) == 0).all()
    assert np.isnan(metrics.depth_order_accuracy(target, 0 * target)).all()
    with pytest.raises(UserError, match='axis: expected "joints" or "frames", found \'views\''):
        metrics.depth_order_accuracy(target, target, "views")


def test_depth_order_counts_leave_out_nan_and_add_up(clip):
    predicted, target = clip[0], clip[1].copy()
    correct, counted = metrics.depth_order_counts(predicted, target, "joints", (0.0, 0.1, 1e9))
    assert (counted[0] == 17 * 16 // 2).all()
    assert (correct <= counted).all()
    assert (counted[1] < counted[0]).all()
    assert not counted[2].any()
    target[:, 4:] = np.nan
    correct, counted = metrics.depth_order_counts(predicted, target, "joints", (0.0,))
    assert (counted == 6).all()
    np.testing.assert_allclose(correct[0] / 6, metrics.depth_order_accuracy(predicted[:, :4], target[:, :4]))


def test_angles_differ_the_short_way_round():
    error = metrics.angle_error(np.array([30.0, 175.0, -170.0, 0.0]), np.array([50.0, -175.0, 170.0, 180.0]))
    np.testing.assert_allclose(error, [-20, -10, 20, -180])
