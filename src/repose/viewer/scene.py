"""The scene: the people of a result in one world, on one timeline, with camera, video and viewpoints."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from repose import palette
from repose.errors import expected
from repose.export.notes import camera_note
from repose.export.results import read_poses
from repose.export.upright import to_world, up_note
from repose.geometry.camera import Camera
from repose.geometry.floor import floor_m
from repose.geometry.rigid import RigidTransform
from repose.geometry.rotation import unit
from repose.pose import Pose3D, check_span
from repose.sequence import interpolate_linear, low_pass
from repose.video import open_video
from repose.video.origin import find_video

Result = str | Path | Sequence[Pose3D]
"""A result folder, its poses.npz, or the tracks themselves."""


FOV_DEG = 30.0
"""Height of the view. Narrow, so that a near hand does not look larger than a head."""

# Degrees to the right of the way from the people to the camera that filmed, and above the horizon.
VIEWS_DEG = {
    "angle": (35.0, 14.0),  # so the depths are seen, which the picture does not show
    "front": (0.0, 3.0),
    "side": (90.0, 3.0),
    "top": (0.0, 86.0),
    "camera": (52.0, 20.0),  # the people and the camera that filmed
}


@dataclass(frozen=True, eq=False)
class Figure:
    """One person of a result, in the scene."""

    pose: Pose3D
    joints_m: Float[np.ndarray, "rows joints 3"]
    """World of the scene: right-handed, z up, the ground at 0."""
    points_px: Float[np.ndarray, "rows joints 2"] | None
    """The 2D keypoints; where the result has none, the joints as its camera sees them."""
    places: Int[np.ndarray, " rows"]
    """Where on the timeline each row is; of a second result some may lie before or behind it."""
    colour: str
    """Of what is neither left nor right."""
    counterpart: int | None = None
    """For a person of the second result: the number of the figure that they are compared with."""

    def row(self, frame: int) -> int:
        """Return the person's row in frame `frame` of the timeline, −1 where they are absent."""
        row = int(np.searchsorted(self.places, frame))
        return row if row < len(self.places) and self.places[row] == frame else -1

    @property
    def compared(self) -> bool:
        """Whether this is somebody of the ground truth or second result."""
        return self.counterpart is not None

    @property
    def name(self) -> str:
        return f"{'compared, ' if self.compared else ''}person {self.pose.track_id}"

    @property
    def root(self) -> int:
        return self.pose.skeleton.parents.index(-1)

    @property
    def colours(self) -> list[str]:
        """Of each joint, and of the bone that leads to it."""
        if self.compared:
            return [self.colour] * len(self.pose.skeleton)
        return [palette.side_colour(joint, self.colour) for joint in self.pose.skeleton.joints]


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that the viewer, the page, the film and the sheet show."""

    figures: tuple[Figure, ...]
    """The people of the result, then those of the second result."""
    frames: Int[np.ndarray, " frames"]
    """Frame numbers of the source, from the first with anybody to the last, without gaps: the timeline."""
    times_s: Float[np.ndarray, " frames"]
    slow_motion: float
    """Seconds of the video per second of the motion, 1 except for slow motion."""
    fps: float
    camera: Camera | None
    """The camera that filmed, in this world; None where nothing says where people stand before it."""
    image_size: tuple[int, int] | None
    video: Path | None
    no_video_reason: str | None
    """Why the video that the result names is not shown, in words; None for one of keypoints."""
    title: str
    notes: tuple[str, ...]
    """What a viewer should know: where up and the scale come from, what is missing."""

    @property
    def video_times_s(self) -> Float[np.ndarray, " frames"]:
        """The times of the frames in the video."""
        return self.times_s * self.slow_motion

    def joints_m(self, number: int, frame: int, *, together: bool = True) -> np.ndarray | None:
        """Return the joints (joints, 3) of figure `number` in frame `frame`, None where it is absent.

        `together` moves somebody who is compared to where their partner is, root on root.
        """
        figure = self.figures[number]
        row = figure.row(frame)
        if row < 0:
            return None
        joints = figure.joints_m[row]
        if not together or figure.counterpart is None:
            return joints
        counterpart = self.figures[figure.counterpart]
        there = counterpart.row(frame)
        if there < 0:
            return joints
        return joints - joints[figure.root] + counterpart.joints_m[there, counterpart.root]

    def trail_m(self, number: int, frame: int, seconds: float) -> Float[np.ndarray, "places 3"]:
        """Return where the root of figure `number` was in the last `seconds`, the latest position last."""
        figure = self.figures[number]
        first = int(np.searchsorted(self.times_s, self.times_s[frame] - seconds))
        begin, end = np.searchsorted(figure.places, [first, frame + 1])
        return figure.joints_m[begin:end, figure.root]

    def present(self, frame: int, seconds: float) -> list[int]:
        """List the figures that have appeared by a frame and had not left `seconds` before it."""
        first, last = self._stays
        since = np.searchsorted(self.times_s, self.times_s[frame] - seconds)
        return [int(number) for number in np.flatnonzero((first <= frame) & (last >= since))]

    @cached_property
    def _stays(self) -> tuple[np.ndarray, np.ndarray]:
        """First and last place on the timeline of each figure."""
        places = [figure.places for figure in self.figures]
        return np.array([place[0] for place in places]), np.array([place[-1] for place in places])

    @cached_property
    def facing_rad(self) -> float:
        """Direction from the people to the camera that filmed, from world x towards y."""
        if self.camera is None:
            return -np.pi / 2  # the level camera looks along y
        x, y, _ = self.camera.position_m - self.centre_m.mean(axis=0)
        return float(np.arctan2(y, x))

    @cached_property
    def centre_m(self) -> Float[np.ndarray, "frames 3"]:
        """The middle of everybody in each frame, moving smoothly: what to look at."""
        low, high = self.boxes_m
        there = np.flatnonzero(np.isfinite(low[:, 0]))
        middle = interpolate_linear((low[there] + high[there]) / 2, there, np.arange(len(self.frames)))
        return low_pass(middle, min(1.0, 1.0 / self.fps))

    @cached_property
    def radius_m(self) -> float:
        """Of the ball around the middle that nearly always holds everybody."""
        low, high = self.boxes_m
        reach = np.linalg.norm(np.maximum(high - self.centre_m, self.centre_m - low), axis=-1)
        reach = reach[np.isfinite(reach)]
        # A view that is right for most of the time, not one for a leap from one person to the next.
        return max(0.5, float(min(np.percentile(reach, 95), 1.2 * np.median(reach))))

    @cached_property
    def boxes_m(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners of the box around everybody of the result in each frame; infinite where nobody is."""
        low = np.full((len(self.frames), 3), np.inf)
        high = -low
        for figure in self.figures:
            if not figure.compared:
                there, joints = figure.places, figure.joints_m
                low[there] = np.minimum(low[there], joints.min(axis=1))
                high[there] = np.maximum(high[there], joints.max(axis=1))
        return low, high


def make_scene(result: Result, compare: Result | None = None, *, source: str | Path | None = None) -> Scene:
    """Put the people of `result`, and those of a second one, into one world and on one timeline.

    `compare`: the ground truth, or another result of the same video. `source`: the video; without, the
    one that `repose.video.origin.find_video` trusts the result to show.

    Raises UserError for results that cannot be read or hold nobody, for a `source` that is not there,
    and for a video of another size than the one that was lifted.
    """
    poses, folder = _tracks(result)
    second = [] if compare is None else _tracks(compare)[0]
    placed = all(pose.coordinates != "camera-root-relative" for pose in poses)
    worlds = to_world(poses)
    joints = [pose.joints_m.astype(np.float64) for pose in worlds]
    ground = 0.0 if placed else floor_m(worlds, np.array([0.0, 0.0, 1.0]))
    T_cam_scene = worlds[0].world_to_camera() @ RigidTransform(t_m=np.array([0.0, 0.0, ground]))
    check_span(poses)
    first, last = min(pose.frames[0] for pose in poses), max(pose.frames[-1] for pose in poses)
    frames = np.arange(first, last + 1)
    filmed = next((pose for pose in poses if pose.intrinsics_px is not None), None)
    camera = None
    if placed and filmed is not None:
        camera = replace(filmed.camera(), T_cam_world=T_cam_scene)
    figures: list[Figure] = []
    for number, (pose, people) in enumerate(zip(poses, joints, strict=True)):
        people[..., 2] -= ground
        # Without places they would all stand in one: next to each other then.
        people[..., 0] += 0 if placed else 1.2 * number
        points = pose.points_px
        if points is None and camera is not None:
            points = camera.project(people)
        colour = palette.PEOPLE[number % len(palette.PEOPLE)]
        figures.append(Figure(pose, people, points, pose.frames - first, colour))
    for pose in second:
        figures.append(_compared(pose, T_cam_scene, placed, figures[: len(poses)], frames))
    video, no_video_reason = find_video(poses[0].record, folder, source)
    size = next((pose.image_size for pose in poses if pose.image_size is not None), None)
    if video:
        info = open_video(video).info
        size = size or (info.width, info.height)
        if size != (info.width, info.height):
            wanted, found = f"the {size[0]} × {size[1]} pixels of the result", f"{info.width} × {info.height}"
            expected(str(video), wanted, found, "Name the video that the result was made from: --source.")
    times_s = _times_s(poses, frames)
    return Scene(
        figures=tuple(figures),
        frames=frames,
        times_s=times_s,
        slow_motion=poses[0].record.get("slow_motion", 1.0),
        fps=poses[0].fps,
        camera=camera,
        image_size=size,
        video=video,
        no_video_reason=no_video_reason,
        title=video.stem if video else folder.resolve().name if folder else "RePOSE",
        notes=_notes(poses, placed, _why(video, no_video_reason)),
    )


def _tracks(result: Result) -> tuple[list[Pose3D], Path | None]:
    """Return the tracks that have frames, and the folder that they were read from."""
    if isinstance(result, str | Path):
        poses, path = read_poses(result), Path(result)
        folder = path if path.is_dir() else path.parent
    else:
        poses, folder = list(result), None
    poses = [pose for pose in poses if len(pose)]
    if not poses:
        expected(str(folder or "poses"), "at least one person with at least one frame", "nobody")
    return poses, folder


def _compared(
    pose: Pose3D, T_cam_scene: RigidTransform, placed: bool, figures: list[Figure], frames: np.ndarray
) -> Figure:
    """Somebody of the second result, with the figure that is nearest to them in the frames of both."""
    placed = placed and pose.coordinates != "camera-root-relative"
    places, root = pose.frames - frames[0], pose.skeleton.parents.index(-1)
    T_scene_cam = T_cam_scene.inverse()
    joints = pose.camera_joints_m()  # two worlds have the camera in common
    if placed:
        joints = T_scene_cam.apply(joints)
    else:
        joints = T_scene_cam.turn(joints - joints[:, root : root + 1])

    def distance(figure: Figure) -> tuple[float, int]:
        if places[-1] < figure.places[0] or figure.places[-1] < places[0]:
            return np.inf, 0
        both, rows, others = np.intersect1d(places, figure.places, assume_unique=True, return_indices=True)
        if not (placed and len(both)):
            return np.inf, -len(both)
        apart = joints[rows, root] - figure.joints_m[others, figure.root]
        return float(np.linalg.norm(apart, axis=-1).mean()), 0

    number = min(range(len(figures)), key=lambda i: distance(figures[i]))
    if not placed:
        counterpart = figures[number]
        there = counterpart.joints_m[:, counterpart.root]
        joints += interpolate_linear(there, counterpart.pose.frames, pose.frames)[:, None]
    return Figure(pose, joints, None, places, palette.COMPARED, counterpart=number)


def _times_s(poses: list[Pose3D], frames: np.ndarray) -> Float[np.ndarray, " frames"]:
    """Return the time of every frame; of those with nobody, between the times around them."""
    known, where = np.unique(np.concatenate([pose.frames for pose in poses]), return_index=True)
    return np.interp(frames, known, np.concatenate([pose.times_s for pose in poses])[where])


def _why(video: Path | None, no_video_reason: str | None) -> str:
    """Why there is no picture."""
    if video:
        return ""
    return f"No picture: {no_video_reason}." if no_video_reason else "No picture: made from keypoints."


def _notes(poses: list[Pose3D], placed: bool, picture: str) -> tuple[str, ...]:
    scales = list(dict.fromkeys(pose.scale for pose in poses))
    models = list(dict.fromkeys(pose.model for pose in poses if pose.model))
    notes = [
        f"Scale: {', '.join(scales)}.",
        *dict.fromkeys(up_note(pose) for pose in poses),
        "" if placed else "Where people stand is not known: everybody is held at the pelvis.",
        camera_note(poses[0].record),
        picture,
        f"Model: {', '.join(models)}." if models else "",
    ]
    return tuple(note for note in notes if note)


def direction(scene: Scene, name: str = "angle") -> Float[np.ndarray, "3"]:
    """Return the direction from the target to the viewpoint, for a view in `VIEWS_DEG`."""
    right, above = np.radians(VIEWS_DEG[name])
    azimuth, flat = scene.facing_rad + right, np.cos(above)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(above)])


def distance_m(radius_m: float, aspect: float = 1.0) -> float:
    """Return the distance at which a ball fills a view that is `aspect` times as wide as high."""
    half = np.radians(FOV_DEG) / 2
    return float(radius_m / np.sin(min(half, np.arctan(np.tan(half) * aspect))))


def place_viewpoint(
    scene: Scene, name: str, frame: int, aspect: float = 1.0
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Return where to stand and what to look at, in a frame, for a view `aspect` times as wide as high."""
    target, distance = scene.centre_m[frame], 1.1 * distance_m(scene.radius_m, aspect)
    if name == "camera" and scene.camera is not None:
        way = scene.camera.position_m - target
        distance += 1.5 * float(np.linalg.norm(way)) / min(1.0, aspect)
        target = target + 0.45 * way
    return target + direction(scene, name) * distance, target


def view_camera(
    scene: Scene, size: tuple[int, int], centre_m: Float[np.ndarray, "3"], radius_m: float
) -> Camera:
    """Create the camera of a view of (width, height) pixels that a ball of `radius_m` fills."""
    width, height = size
    away = direction(scene)
    eye = centre_m + away * distance_m(radius_m, width / height)
    right = unit(np.cross(-away, (0.0, 0.0, 1.0)))
    T_world_cam = RigidTransform(np.stack([right, np.cross(-away, right), -away], axis=1), eye)
    focal_px = height / 2 / np.tan(np.radians(FOV_DEG) / 2)
    K = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])
    return Camera(K, T_cam_world=T_world_cam.inverse())
