"""Blender's view of exported files: are the joints where they should be, and what does it look like?

    repose export RESULT walk.trc; repose export RESULT walk.bvh; repose export RESULT walk.glb
    python scripts/in_blender.py walk.trc walk.bvh walk.glb --frames 20 60 100 --picture blender.png

Imports each file as a user would, compares the heads of its bones with the markers of the TRC file, and
draws the last one with Cycles at the given frames. Needs Blender as a module in an environment of its own,
since it asks for NumPy 1: `pip install bpy`, 0.4 GB.
"""

import argparse
import math
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

MARKERS = {"Hip": "pelvis", "Spine": "spine", "Neck": "thorax", "Nose": "nose", "Head": "head_top"}
"""Markers whose joints are not called after them; the others are LKnee for left_knee."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trc", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, nargs="+", default=[0], help="rows of the TRC file")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    names, positions_m, rate = read_trc(options.trc)
    for path in options.files:
        armature = load(path)
        errors = []
        for row in range(0, len(positions_m), 10):
            show(path, row, rate)
            heads = {bone.name: armature.matrix_world @ bone.head for bone in armature.pose.bones}
            # Blender turns y up into z up: x stays, z becomes −y.
            found = np.array([[heads[name].x, heads[name].z, -heads[name].y] for name in names])
            errors.append(np.linalg.norm(found - positions_m[row], axis=-1))
        print(f"{path.name}: joints {1000 * np.mean(errors):.1f} mm from the markers (bones are constant)")
    if options.picture:
        draw(options.files[-1], options.frames, rate, positions_m, options.picture)


def read_trc(path: Path) -> tuple[list[str], np.ndarray, float]:
    lines = path.read_text().splitlines()
    markers = lines[3].split()[2:]
    rows = np.array([line.split("\t")[2:] for line in lines[5:] if line], dtype=float)
    names = [MARKERS.get(marker) or joint(marker) for marker in markers]
    return names, rows.reshape(len(rows), len(markers), 3), float(lines[2].split("\t")[0])


def joint(marker: str) -> str:
    return {"L": "left_", "R": "right_"}[marker[0]] + marker[1:].lower()


def load(path: Path) -> "bpy.types.Object":
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if path.suffix == ".bvh":
        bpy.ops.import_anim.bvh(filepath=str(path), global_scale=0.01)
    elif path.suffix == ".glb":
        bpy.ops.import_scene.gltf(filepath=str(path))
    else:
        bpy.ops.wm.usd_import(filepath=str(path))
    (armature,) = (thing for thing in bpy.data.objects if thing.type == "ARMATURE")
    return armature


def show(path: Path, row: int, rate: float) -> None:
    """Blender's frame of a row: BVH counts its rows from 1, USD from the video's start, GLB has seconds."""
    scene = bpy.context.scene
    scale = scene.render.fps / rate if path.suffix == ".glb" else 1.0
    frame = row * scale + (path.suffix == ".bvh")
    scene.frame_set(math.floor(frame), subframe=frame - math.floor(frame))


def draw(path: Path, rows: list[int], rate: float, positions_m: np.ndarray, picture: Path) -> None:
    """The figure at some frames side by side, in the light of one lamp."""
    armature = load(path)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 24
    scene.cycles.use_denoising = True
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x, scene.render.resolution_y = 1200, 430
    # Copies of the figure as it is at each frame, moved beside each other.
    for number, row in enumerate(rows):
        show(path, row, rate)
        graph = bpy.context.evaluated_depsgraph_get()
        for thing in [t for t in bpy.data.objects if t.type == "MESH" and t.parent == armature]:
            mesh = bpy.data.meshes.new_from_object(thing.evaluated_get(graph), depsgraph=graph)
            still = bpy.data.objects.new(f"still {number}", mesh)
            still.matrix_world = thing.matrix_world
            x, _, z = positions_m[row].mean(axis=0)
            still.location += Vector((1.1 * (number - (len(rows) - 1) / 2) - x, z, 0))
            scene.collection.objects.link(still)
    for thing in list(bpy.data.objects):
        if not thing.name.startswith("still"):
            thing.hide_render = True
    bpy.ops.mesh.primitive_plane_add(size=60)
    ground = bpy.context.object
    ground.data.materials.append(material("ground", (0.30, 0.32, 0.35)))
    bpy.ops.object.light_add(type="SUN", rotation=(math.radians(35), math.radians(-25), 0))
    bpy.context.object.data.energy = 2.0
    bpy.context.object.data.angle = 0.15
    world = bpy.data.worlds.new("world")
    scene.world = world
    world.node_tree.nodes["Background"].inputs[0].default_value = (0.9, 0.93, 1.0, 1)
    world.node_tree.nodes["Background"].inputs[1].default_value = 0.5
    bpy.ops.object.camera_add(location=(0, -7.5, 1.9))
    camera = bpy.context.object
    camera.rotation_euler = (math.radians(82.5), 0, 0)
    camera.data.angle = math.radians(10 + 8 * len(rows))
    scene.camera = camera
    scene.render.filepath = str(picture.resolve())
    bpy.ops.render.render(write_still=True)


def material(name: str, colour: tuple[float, float, float]) -> "bpy.types.Material":
    made = bpy.data.materials.new(name)
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*colour, 1)
    shader.inputs["Roughness"].default_value = 0.9
    return made


if __name__ == "__main__":
    main()
