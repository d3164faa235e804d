"""A page of this machine's own small server: a world with people in it, and a picture at its side."""

import io
import threading
import time
from contextlib import redirect_stdout
from html import escape
from typing import Any
from unittest.mock import patch

import numpy as np

from repose import palette
from repose.errors import UserError
from repose.geometry.rotation import matrix_to_quaternion
from repose.palette import PALE, mixed, rgb
from repose.viewer.drawing import blank
from repose.viewer.person_meshes import TRAIL_S, PersonMeshes
from repose.viewer.scene import FOV_DEG, VIEWS_DEG, Scene, place_viewpoint

PICTURE_HEIGHT = 480


class Server:
    """A running server. Everybody who opens its page sees the same."""

    def __init__(self, title: str, host: str = "127.0.0.1", port: int = 8080) -> None:
        """Raise UserError where viser is not installed."""
        try:
            import viser
        except ImportError:
            raise UserError(
                "the viewer needs viser, which is not installed", "pip install 'repose3d[view]'"
            ) from None
        self._viser: Any = viser
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        with redirect_stdout(io.StringIO()), _own_pages_only():  # it introduces itself
            self._server = viser.ViserServer(host, port, label=title, verbose=False)
        self.url = (
            f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{self._server.get_port()}"
        )
        self._world = self._server.scene.add_frame("/world", show_axes=False)
        self._people: dict[int, PersonMeshes] = {}
        self._frustum: Any = None
        self._picture: Any = None
        self._views: Any = None
        self._show: dict[str, Any] = {}
        gui = self._server.gui
        gui.configure_theme(show_logo=False, show_share_button=False, brand_color=rgb(palette.SIDES["left"]))
        gui.main_panel.dock_right()
        gui.main_panel.set_width(310)

    def wait(self) -> None:
        """Return when the viewer is closed."""
        while self._open.is_set():
            time.sleep(0.2)

    def close(self) -> None:
        self._open.clear()
        with redirect_stdout(io.StringIO()):
            self._server.stop()

    def _place_people(self, scene: Scene, frame: int) -> None:
        """Show those who are present, and take away those who have gone."""
        show = {name: box.value for name, box in self._show.items()}
        # A thousand people who come one after the other take no more of the browser than one.
        present = {self._key(scene, number): number for number in scene.present(frame, TRAIL_S)}
        for key in self._people.keys() - present.keys():
            self._people.pop(key).remove()
        for key, number in present.items():
            if key not in self._people:
                self._people[key] = PersonMeshes(self._server.scene, scene.figures[number], key)
            self._people[key].update(scene, number, frame, show)

    def _key(self, scene: Scene, number: int) -> int:
        """Return what a figure is known by from one scene to the next."""
        return number

    def _place_camera(self, scene: Scene) -> None:
        camera = self._server.initial_camera
        camera.position, camera.look_at = place_viewpoint(scene, "angle", 0)
        camera.fov = float(np.radians(FOV_DEG))

    def _add_surroundings(self, scene: Scene) -> None:
        """Light, ground, and the camera that filmed, where it is known where it stands."""
        # Light that leaves the colours what they are.
        tree = self._server.scene
        tree.configure_environment_map(hdri=None)
        tree.configure_default_lights(enabled=False)
        tree.add_light_hemisphere(
            "/sky", sky_color=(255, 255, 255), ground_color=(205, 205, 210), intensity=2.4
        )
        tree.add_light_directional("/sun", intensity=0.9, position=(0.5, -0.7, 6.0), cast_shadow=True)
        self._ground = tree.add_grid(
            "/world/ground",
            60.0,
            60.0,
            cell_size=0.5,
            cell_color=rgb(palette.GRID),
            section_color=rgb(palette.GRID),
            section_size=1.0,
            position=(float(scene.centre_m[0, 0]), float(scene.centre_m[0, 1]), 0.0),
            fade_distance=30 * scene.radius_m,
        )
        if scene.camera is None or scene.image_size is None:
            return
        T_world_cam = scene.camera.T_cam_world.inverse()
        away = float(np.linalg.norm(scene.centre_m[0] - T_world_cam.t_m))
        width, height = scene.image_size
        self._frustum = tree.add_camera_frustum(
            "/world/camera",
            fov=float(2 * np.arctan(height / 2 / scene.camera.K[1, 1])),
            aspect=width / height,
            scale=max(0.15, away / 20),
            thickness=2.0,
            thickness_units="screen",
            color=rgb(palette.FRAME),
            wxyz=matrix_to_quaternion(T_world_cam.R),
            position=T_world_cam.t_m,
            cast_shadow=False,
        )

    def _add_views(self) -> None:
        names = [name for name in VIEWS_DEG if name != "camera" or self._frustum is not None]
        self._views = self._server.gui.add_button_group("View", [name.capitalize() for name in names])
        self._views.on_click(self._look)

    def _look(self, event: Any) -> None:
        """Move the one who pressed the button."""
        raise NotImplementedError

    def _move_to(self, client: Any, scene: Scene, frame: int) -> None:
        position, target = place_viewpoint(scene, self._views.value.lower(), frame, client.camera.aspect)
        moved = np.asarray(self._world.position)
        client.camera.position, client.camera.look_at = position + moved, target + moved

    def _add_switches(self, names: dict[str, tuple[str, bool]]) -> None:
        """Checkboxes by name: what they say, and whether they are there."""
        with self._server.gui.add_folder("Show"):
            for name, (words, there) in names.items():
                self._show[name] = self._server.gui.add_checkbox(words, initial_value=True, visible=there)
                self._show[name].on_update(lambda _: self._switched())

    def _switched(self) -> None:
        self._ground.visible = self._show["ground"].value
        if self._frustum:
            self._frustum.visible = self._show["camera"].value

    def _add_picture(self, image_size: tuple[int, int]) -> None:
        width, height = image_size
        shown = min(height, PICTURE_HEIGHT)
        self._slate = blank(max(1, round(width * shown / height)), shown, (52, 58, 64))
        panel = self._server.gui.add_panel()
        with panel.add_tab("Picture"):
            self._picture = self._server.gui.add_image(self._slate, format="jpeg", jpeg_quality=85)
        panel.dock_left()
        panel.set_width(560 if width > height else 400)


def _own_pages_only() -> Any:
    """Have viser answer no page but its own, which it has no option for."""
    from viser.infra import _infra
    from websockets.asyncio.server import serve

    from repose.viewer.same_origin import refuse_strangers

    def serve_own(*arguments: Any, process_request: Any = None, **options: Any) -> Any:
        return serve(*arguments, process_request=refuse_strangers(process_request), **options)

    return patch.object(_infra.websockets.asyncio.server, "serve", serve_own)


def text_html(*lines: str) -> str:
    """Lines as they are, in HTML: all words of the viewer come through here.

    Words may be those of a file from anywhere. viser's markdown would run what is in them as a program.
    """
    parts = (f'<p style="margin:.3em 0;overflow-wrap:anywhere">{escape(line)}</p>' for line in lines)
    return f'<div style="font-size:.85em;padding:.2em 1em">{"".join(parts)}</div>'


def legend_html(scene: Scene) -> str:
    """Return what the colours mean, in HTML."""
    rows = list(palette.SIDES.items())
    if not all(figure.pose.seen.all() for figure in scene.figures if not figure.compared):
        rows.append(("inferred: pale", "#" + bytes(mixed(rgb(palette.SIDES["left"]), PALE)).hex()))
    if any(figure.compared for figure in scene.figures):
        rows.append(("compared", palette.COMPARED))
    dot = "display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.4em;background:"
    parts = [
        f'<span style="margin-right:1em"><span style="{dot}{c}"></span>{words}</span>' for words, c in rows
    ]
    return f'<div style="font-size:.85em;padding:.4em 1em">{"".join(parts)}</div>'
