"""The viewer: a result in the browser, played by a small server on this machine."""

import io
import threading
import time
import webbrowser
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from repose import palette
from repose.errors import UserError
from repose.geometry.rotation import matrix_to_quaternion
from repose.palette import PALE, mixed, rgb
from repose.video import Seeker, open_video
from repose.viewer.drawing import blank, draw_overlay
from repose.viewer.person_meshes import TRAIL_S, PersonMeshes
from repose.viewer.scene import FOV_DEG, VIEWS_DEG, Result, Scene, make_scene, place_viewpoint

_PICTURE_HEIGHT = 480
_SPEEDS = ("0.1", "0.25", "0.5", "1", "2", "4")


def view(
    result: Result,
    *,
    compare: Result | None = None,
    source: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    browser: bool = True,
    ready: Callable[["Viewer"], None] | None = None,
) -> None:
    """Show a result in the browser until interrupted (Ctrl-C).

    Args:
        result: result folder, its `poses.npz`, or tracks.
        compare: as in `make_scene`.
        source: as in `make_scene`.
        host: address to serve at.
        port: port to serve at, or the next free one.
        browser: open the browser.
        ready: called when the server is running.

    Raises:
        UserError: as `make_scene`, without viser, and if no browser opens.
    """
    scene = make_scene(result, compare, source=source)
    with closing(Viewer(scene, host, port)) as viewer:
        if browser and not webbrowser.open(viewer.url):
            raise UserError(
                f"no browser opened for {viewer.url}",
                "Serve the page with --no-browser and open it yourself, or write a file: --html FILE.",
            )
        if ready:
            ready(viewer)
        try:
            viewer.wait()
        except KeyboardInterrupt:
            return


class Viewer:
    """A running server with its scene. Everybody who opens its page sees the same frame."""

    def __init__(self, scene: Scene, host: str = "127.0.0.1", port: int = 8080) -> None:
        """Raise UserError where viser is not installed."""
        try:
            import viser
        except ImportError:
            raise UserError(
                "the viewer needs viser, which is not installed", "pip install 'repose3d[view]'"
            ) from None
        self._viser: Any = viser
        self.scene = scene
        self.frame = 0
        self._open = threading.Event()
        self._open.set()
        self._wanted, self._lock = threading.Event(), threading.Lock()
        self._playing, self._speed = False, 1.0
        with redirect_stdout(io.StringIO()):  # it introduces itself
            self._server = viser.ViserServer(host, port, label=scene.title, verbose=False)
        self.url = (
            f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{self._server.get_port()}"
        )
        self._world = self._server.scene.add_frame("/world", show_axes=False)
        self._people: dict[int, PersonMeshes] = {}
        self._frustum = self._add_surroundings()
        self._place_camera()
        self._picture: Any = None
        self._show = self._add_controls()
        self.seek(0)
        self._threads = [threading.Thread(target=self._play, daemon=True)]
        if self._picture or self._frustum:
            self._threads.append(threading.Thread(target=self._show_pictures, daemon=True))
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Return when the viewer is closed."""
        while self._open.is_set():
            time.sleep(0.2)

    def close(self) -> None:
        self._open.clear()
        self._wanted.set()
        for thread in self._threads:
            thread.join()
        with redirect_stdout(io.StringIO()):
            self._server.stop()

    def seek(self, frame: int) -> None:
        """Show a frame of the timeline."""
        show = {name: box.value for name, box in self._show.items()}
        with self._lock, self._server.atomic():
            self.frame = min(max(frame, 0), len(self.scene.frames) - 1)
            present = self.scene.present(self.frame, TRAIL_S)
            # A thousand people who come one after the other take no more of the browser than one.
            for number in self._people.keys() - present:
                self._people.pop(number).remove()
            for number in present:
                if number not in self._people:
                    self._people[number] = PersonMeshes(self._server.scene, self.scene, number)
                self._people[number].update(self.frame, show)
            centre = self.scene.centre_m
            self._world.position = centre[0] - centre[self.frame] if show["follow"] else (0.0, 0.0, 0.0)
            self._slider.value = int(self.scene.frames[self.frame])
            self._clock.content = _text(
                f"frame {self.scene.frames[self.frame]}, {self.scene.times_s[self.frame]:.2f} s"
            )
        self._wanted.set()

    def _play(self) -> None:
        """Return the clock: while it plays, the frame whose time it is; a slow machine leaves frames out."""
        times = self.scene.times_s
        last, pause_s = len(times) - 1, min(1 / self.scene.fps, 1 / 60)
        was, moment_s = -1, 0.0
        while self._open.is_set():
            started = time.monotonic()
            if self._playing:
                if self.frame != was:  # play was pressed, or the slider moved
                    moment_s = times[self.frame]
                elif moment_s > times[last] + 1 / self.scene.fps:
                    moment_s = times[0]
                frame = max(0, int(np.searchsorted(times, moment_s, side="right")) - 1)
                if frame != self.frame:
                    self.seek(frame)
                was = self.frame
            else:
                was = -1
            time.sleep(max(0.001, pause_s - (time.monotonic() - started)))
            moment_s += (time.monotonic() - started) * self._speed

    def _show_pictures(self) -> None:
        """Return the latest picture that is wanted, beside the clock: decoding must not hold people up."""
        scene = self.scene
        seeker = Seeker(open_video(scene.video).scaled(_PICTURE_HEIGHT)) if scene.video else None
        while self._open.is_set():
            self._wanted.wait()
            self._wanted.clear()
            frame = self.frame
            picture = seeker.at(scene.video_times_s[frame]) if seeker else None
            if self._frustum and picture is not None and self._show["camera"].value:
                self._frustum.image = picture
            if self._picture:
                if picture is None or not self._show["picture"].value:
                    picture = self._slate.copy()
                if self._show["overlay"].value and scene.image_size:
                    draw_overlay(picture, scene, frame, picture.shape[0] / scene.image_size[1])
                self._picture.image = picture
        if seeker:
            seeker.close()

    def _place_camera(self) -> None:
        camera = self._server.initial_camera
        camera.position, camera.look_at = place_viewpoint(self.scene, "angle", 0)
        camera.fov = float(np.radians(FOV_DEG))

    def _look(self, event: Any) -> None:
        """Move the one who pressed the button."""
        if event.client is not None:
            camera = event.client.camera
            position, target = place_viewpoint(
                self.scene, self._views.value.lower(), self.frame, camera.aspect
            )
            moved = np.asarray(self._world.position)
            camera.position, camera.look_at = position + moved, target + moved

    def _add_surroundings(self) -> Any:
        """Ground and camera; the camera's frustum, None where nothing says where it stands."""
        scene = self.scene
        # Light that leaves the colours what they are.
        tree = self._server.scene
        tree.configure_environment_map(hdri=None)
        tree.configure_default_lights(enabled=False)
        tree.add_light_hemisphere(
            "/sky", sky_color=(255, 255, 255), ground_color=(205, 205, 210), intensity=2.4
        )
        tree.add_light_directional("/sun", intensity=0.9, position=(0.5, -0.7, 6.0), cast_shadow=True)
        self._ground = self._server.scene.add_grid(
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
            return None
        T_world_cam = scene.camera.T_cam_world.inverse()
        away = float(np.linalg.norm(scene.centre_m[0] - T_world_cam.t_m))
        width, height = scene.image_size
        return self._server.scene.add_camera_frustum(
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

    def _add_controls(self) -> dict[str, Any]:
        """Timeline, switches and words; the switches by name."""
        gui, scene = self._server.gui, self.scene
        gui.configure_theme(show_logo=False, show_share_button=False, brand_color=rgb(palette.SIDES["left"]))
        people = [figure for figure in scene.figures if not figure.compared]
        gui.main_panel.dock_right()
        gui.main_panel.set_width(310)
        first, last = int(scene.frames[0]), int(scene.frames[-1])
        self._play_button: Any = gui.add_button("Play", icon=self._viser.Icon.PLAYER_PLAY)
        self._slider: Any = gui.add_slider("Frame", first, max(last, first + 1), 1, first)
        self._speed_choice = gui.add_dropdown("Speed ×", _SPEEDS, initial_value="1")
        self._clock = gui.add_html("")
        views = [name for name in VIEWS_DEG if name != "camera" or self._frustum is not None]
        self._views: Any = gui.add_button_group("View", [name.capitalize() for name in views])
        self._views.on_click(self._look)
        show: dict[str, Any] = {}
        with gui.add_folder("Show"):
            for name, words, there in (
                ("picture", "Picture", scene.video is not None),
                ("overlay", "2D keypoints", scene.image_size is not None),
                ("deviation", "Deviation", any(figure.pose.deviation_m is not None for figure in people)),
                ("trail", "Trail", True),
                ("ground", "Ground", True),
                ("camera", "Camera", self._frustum is not None),
                ("names", "Names", len(people) > 1),
                ("compared", "Compared", len(people) < len(scene.figures)),
                ("together", "Compared at the same root", len(people) < len(scene.figures)),
                ("follow", "Follow", True),
            ):
                show[name] = gui.add_checkbox(words, initial_value=True, visible=there)
                show[name].on_update(lambda _: self._switched())
        if scene.image_size is not None:
            width, height = scene.image_size
            shown = min(height, _PICTURE_HEIGHT)
            self._slate = blank(max(1, round(width * shown / height)), shown, (52, 58, 64))
            panel = gui.add_panel()
            with panel.add_tab("Picture"):
                self._picture = gui.add_image(self._slate, format="jpeg", jpeg_quality=85)
            panel.dock_left()
            panel.set_width(560 if width > height else 400)
        gui.add_html(_legend(scene))
        with gui.add_folder("About this result"):
            gui.add_html(_text(*scene.notes))
        self._play_button.on_click(lambda _: self._start_or_stop())
        self._slider.on_update(self._slid)
        self._speed_choice.on_update(lambda _: setattr(self, "_speed", float(self._speed_choice.value)))
        return show

    def _start_or_stop(self) -> None:
        self._playing = not self._playing
        self._play_button.label = "Pause" if self._playing else "Play"
        icons = self._viser.Icon
        self._play_button.icon = icons.PLAYER_PAUSE if self._playing else icons.PLAYER_PLAY

    def _slid(self, event: Any) -> None:
        if event.client is not None:  # not by this program
            self.seek(int(self._slider.value) - int(self.scene.frames[0]))

    def _switched(self) -> None:
        self._ground.visible = self._show["ground"].value
        if self._frustum:
            self._frustum.visible = self._show["camera"].value
        self.seek(self.frame)


def _text(*lines: str) -> str:
    """Lines as they are, in HTML: all words of the viewer come through here.

    Words may be those of a file from anywhere. viser's markdown would run what is in them as a program.
    """
    parts = (f'<p style="margin:.3em 0;overflow-wrap:anywhere">{escape(line)}</p>' for line in lines)
    return f'<div style="font-size:.85em;padding:.2em 1em">{"".join(parts)}</div>'


def _legend(scene: Scene) -> str:
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
