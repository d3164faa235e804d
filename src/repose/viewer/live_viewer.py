"""The viewer of people who are being filmed: the newest frame, beside its picture."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from repose.export.upright import to_the_ground
from repose.geometry.rigid import RigidTransform
from repose.palette import PEOPLE
from repose.pose import Pose3D, concatenate
from repose.viewer.drawing import draw_overlay
from repose.viewer.person_meshes import TRAIL_S
from repose.viewer.scene import Scene, make_scene
from repose.viewer.server import PICTURE_HEIGHT, Server, legend_html, text_html

_GONE_S = 1.0
"""So long somebody of whom nothing comes is still shown, where they were."""
_SETTLE = 0.02
"""By how much of the way, in each frame, the ground follows the feet."""
_UNPLACED_M = np.array([0.0, 0.0, 3.0], np.float32)
"""Where people stand before anything says where."""
_SWITCHES = {
    "picture": ("Picture", True),
    "overlay": ("2D keypoints", True),
    "deviation": ("Deviation", True),
    "trail": ("Trail", True),
    "ground": ("Ground", True),
    "camera": ("Camera", True),
    "names": ("Names", True),
    "compared": ("Compared", False),
    "together": ("Compared at the same root", False),
    "follow": ("Follow", True),
}


class LiveViewer(Server):
    """A running server that is told what to show."""

    def __init__(
        self,
        title: str,
        image_size: tuple[int, int],
        host: str = "127.0.0.1",
        port: int = 8080,
        left: Callable[[], None] = lambda: None,
    ) -> None:
        """Raise UserError where viser is not installed. `left` is called when the last page is closed."""
        super().__init__(title, host, port)
        self._image_size = image_size
        self._pieces: dict[int, deque[Pose3D]] = {}
        self._seen_s: dict[int, float] = {}
        self._roots_m: dict[int, np.ndarray] = {}
        self._floor: RigidTransform | None = None
        self._scene: Scene | None = None
        self._centre_m = np.zeros(3)
        self._words = self._server.gui.add_html(text_html("Waiting for somebody."))
        self._add_picture(image_size)
        self._server.on_client_disconnect(lambda _: None if self._server.get_clients() else left())

    def show(
        self,
        number: int,
        picture: Callable[..., np.ndarray],
        poses: Sequence[Pose3D],
        lines: Sequence[str],
    ) -> None:
        """Show frame `number` with what became final of people up to it, and some words.

        `picture` gives the frame at a height in pixels. Nothing is done while nobody looks.
        """
        if not self._server.get_clients():
            return
        for pose in poses:
            self._add(pose)
        now_s = time.monotonic()
        for track in [track for track, seen_s in self._seen_s.items() if now_s - seen_s > _GONE_S]:
            for known in (self._pieces, self._seen_s):
                known.pop(track)
        scene = self._make_scene()
        frame = 0 if scene is None else int(np.clip(number - scene.frames[0], 0, len(scene.frames) - 1))
        with self._lock, self._server.atomic():
            if scene is None:
                for key in list(self._people):
                    self._people.pop(key).remove()
            else:
                self._scene = scene
                if not self._show:
                    self._begin(scene)
                self._place_people(scene, frame)
                self._centre_m = self._centre_m + 0.1 * (scene.centre_m[frame] - self._centre_m)
                follow = self._show["follow"].value
                self._world.position = self._start_m - self._centre_m if follow else np.zeros(3)
            self._words.content = text_html(*lines)
        self._draw(picture, scene, frame)
        self._server.flush()

    def _add(self, pose: Pose3D) -> None:
        """Take a piece of a track, and forget what no trail reaches any more."""
        track, root = pose.track_id, pose.skeleton.parents.index(-1)
        if pose.coordinates == "camera":
            self._roots_m[track] = pose.joints_m[-1, root]
        else:
            there_m = self._roots_m.get(track, _UNPLACED_M)
            pose = replace(pose, joints_m=pose.joints_m + there_m, coordinates="camera")
        pieces = self._pieces.setdefault(track, deque())
        pieces.append(replace(pose, record={}))
        while pieces[0].times_s[-1] < pose.times_s[-1] - TRAIL_S:
            pieces.popleft()
        self._seen_s[track] = time.monotonic()

    def _make_scene(self) -> Scene | None:
        poses = [concatenate(pieces) for pieces in self._pieces.values()]
        if not poses:
            return None
        ground = to_the_ground(poses)
        # The ground settles, so that it does not shake with every step, and people stay where they are.
        before = self._floor or ground
        height_m = before.t_m[2] + _SETTLE * (ground.t_m[2] - before.t_m[2])
        self._floor = RigidTransform(ground.R, np.array([0.0, 0.0, height_m]))
        T_cam_world = self._floor.inverse().matrix
        scene = make_scene([replace(pose, T_cam_world=T_cam_world) for pose in poses])
        figures = (replace(f, colour=PEOPLE[f.pose.track_id % len(PEOPLE)]) for f in scene.figures)
        return replace(scene, figures=tuple(figures))

    def _begin(self, scene: Scene) -> None:
        """Furnish the world when the first person appears, and look at them."""
        self._start_m = self._centre_m = scene.centre_m[-1]
        self._add_surroundings(scene)
        self._place_camera(scene)
        self._add_views()
        self._add_switches(_SWITCHES)
        self._server.gui.add_html(legend_html(scene))
        for client in self._server.get_clients().values():
            self._move_to(client, scene, len(scene.frames) - 1)

    def _key(self, scene: Scene, number: int) -> int:
        return scene.figures[number].pose.track_id

    def _look(self, event: Any) -> None:
        if event.client is not None and self._scene is not None:
            self._move_to(event.client, self._scene, len(self._scene.frames) - 1)

    def _draw(self, picture: Callable[..., np.ndarray], scene: Scene | None, frame: int) -> None:
        if self._show and not self._show["picture"].value:
            image = self._slate.copy()
        else:
            image = picture(PICTURE_HEIGHT)
        if scene is not None and self._show["overlay"].value:
            draw_overlay(image, scene, frame, image.shape[0] / self._image_size[1])
        self._picture.image = image
