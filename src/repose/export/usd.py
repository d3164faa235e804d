"""USD: an animated skeleton with a plain figure on it (UsdSkel); metres, y up."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repose.errors import needing
from repose.export.about import describe
from repose.export.mannequin import COLOURS, build_mannequin
from repose.export.rig import Rig, fit_rig
from repose.export.upright import presence, y_up
from repose.geometry.rotation import matrix_to_quaternion
from repose.pose import Pose3D


def write_usd(poses: Sequence[Pose3D], path: Path) -> None:
    """Write people in one world frame (`repose.export.upright.to_world`) as one animated stage.

    Each person is a skeleton of `repose.export.rig` with a figure of rounded limbs. Metres per unit and up
    axis are set; a time code is a frame of the source. Samples are at the poses' own times. While a person is
    absent they are invisible. The animation has
    the attributes `repose:joints`, `repose:seen`, `repose:deviation_m` (one value per joint), and
    `repose:about`, the JSON text that says how the pose was obtained. `.usda` is text, `.usd` binary.

    Raises UserError where usd-core is not installed, and where a joint of H36M-17 cannot be made from those
    of a pose.
    """
    with needing("USD files need usd-core", "pip install usd-core; it is in RePOSE's extra “export”."):
        from pxr import Tf, Usd, UsdGeom
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    fps = poses[0].fps
    stage.SetTimeCodesPerSecond(fps)
    stage.SetFramesPerSecond(fps)
    start_s = float(min(pose.times_s[0] for pose in poses))
    end_s = float(max(pose.times_s[-1] for pose in poses))
    stage.SetStartTimeCode(start_s * fps)
    stage.SetEndTimeCode(end_s * fps)
    world = UsdGeom.Xform.Define(stage, "/World")
    stage.SetDefaultPrim(world.GetPrim())
    for pose in poses:
        home = f"/World/person_{pose.track_id}"
        _add_person(stage, home, pose, pose.times_s * fps)
        visible = UsdGeom.Imageable(stage.GetPrimAtPath(home)).CreateVisibilityAttr()
        for time_s, there in presence(pose, start_s, end_s):
            visible.Set(UsdGeom.Tokens.inherited if there else UsdGeom.Tokens.invisible, time_s * fps)
    try:
        stage.Save()
    except Tf.ErrorException:  # it keeps the system's own reason to itself
        raise OSError("the disk is full, or the file grew too large") from None


def _add_person(stage: Any, home: str, pose: Pose3D, codes: np.ndarray) -> None:
    from pxr import Gf, UsdSkel, Vt

    def matrices(places: np.ndarray) -> Any:
        return Vt.Matrix4dArray([Gf.Matrix4d().SetTranslate(Gf.Vec3d(*place)) for place in places.tolist()])

    rig = fit_rig(y_up(pose.joints_m), pose.skeleton, pose.fps)
    root = UsdSkel.Root.Define(stage, home)
    paths: list[str] = []
    for name, parent in zip(rig.names, rig.parents, strict=True):
        paths.append(f"{paths[parent]}/{name}" if parent >= 0 else name)
    skeleton = UsdSkel.Skeleton.Define(stage, f"{home}/skeleton")
    skeleton.CreateJointsAttr(paths)
    skeleton.CreateBindTransformsAttr(matrices(rig.rest_m))
    skeleton.CreateRestTransformsAttr(matrices(rig.offsets_m))
    motion = UsdSkel.Animation.Define(stage, f"{home}/motion")
    motion.CreateJointsAttr(paths)
    motion.CreateScalesAttr(Vt.Vec3hArray(len(paths), Gf.Vec3h(1)))
    turns, places = motion.CreateRotationsAttr(), motion.CreateTranslationsAttr()
    quaternions = matrix_to_quaternion(rig.rotations).tolist()
    shifts = np.tile(rig.offsets_m.astype(np.float32), (len(pose), 1, 1))
    shifts[:, 0] = rig.root_m
    for row, code in enumerate(codes.tolist()):
        turns.Set(Vt.QuatfArray([Gf.Quatf(*quaternion) for quaternion in quaternions[row]]), code)
        places.Set(Vt.Vec3fArray.FromNumpy(shifts[row]), code)
    _add_facts(motion.GetPrim(), pose, codes)
    _add_figure(stage, f"{home}/figure", rig)
    UsdSkel.BindingAPI.Apply(root.GetPrim()).CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([motion.GetPath()])


def _add_facts(prim: Any, pose: Pose3D, codes: np.ndarray) -> None:
    from pxr import Sdf, Vt

    kinds = Sdf.ValueTypeNames
    prim.CreateAttribute("repose:joints", kinds.TokenArray).Set(list(pose.skeleton.joints))
    prim.CreateAttribute("repose:about", kinds.String).Set(json.dumps(describe(pose)))
    seen = prim.CreateAttribute("repose:seen", kinds.BoolArray)
    for row, code in zip(pose.seen.tolist(), codes.tolist(), strict=True):
        seen.Set(Vt.BoolArray(row), code)
    if pose.deviation_m is not None:
        deviation = prim.CreateAttribute("repose:deviation_m", kinds.FloatArray)
        for row, code in zip(pose.deviation_m.tolist(), codes.tolist(), strict=True):
            deviation.Set(Vt.FloatArray(row), code)


def _add_figure(stage: Any, place: str, rig: Rig) -> None:
    from pxr import Gf, UsdGeom, UsdSkel, Vt

    figure = build_mannequin(rig)
    faces = np.concatenate([figure.triangles[side] for side in COLOURS]).astype(np.int32)
    mesh = UsdGeom.Mesh.Define(stage, place)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(figure.points_m.astype(np.float32)))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(figure.normals.astype(np.float32)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray(len(faces), 3))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(faces.ravel()))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    colours = [Gf.Vec3f(*colour) for side, colour in COLOURS.items() for _ in figure.triangles[side]]
    mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.uniform).Set(colours)
    skin = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    skin.CreateJointIndicesPrimvar(False, 1).Set(Vt.IntArray.FromNumpy(figure.nodes.astype(np.int32)))
    skin.CreateJointWeightsPrimvar(False, 1).Set(Vt.FloatArray(len(figure.nodes), 1.0))
    skin.CreateGeomBindTransformAttr(Gf.Matrix4d(1))
