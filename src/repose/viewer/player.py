"""The viewer: a result in the browser, played by a small server on this machine."""

import threading
import time
import webbrowser
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from repose.errors import UserError
from repose.video import Seeker, open_video
from repose.viewer.drawing import draw_overlay
from repose.viewer.scene import Result, Scene, make_scene
from repose.viewer.server import PICTURE_HEIGHT, Server, legend_html, text_html

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


class Viewer(Server):
    """A running server with a scene to play. Everybody who opens its page sees the same frame."""

    def __init__(self, scene: Scene, host: str = "127.0.0.1", port: int = 8080) -> None:
        """Raise UserError where viser is not installed."""
        super().__init__(scene.title, host, port)
        self.scene = scene
        self.frame = 0
        self._wanted = threading.Event()
        self._playing, self._speed = False, 1.0
        self._add_surroundings(scene)
        self._place_camera(scene)
        self._add_controls()
        self.seek(0)
        self._threads = [threading.Thread(target=self._play, daemon=True)]
        if self._picture or self._frustum:
            self._threads.append(threading.Thread(target=self._show_pictures, daemon=True))
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._open.clear()
        self._wanted.set()
        for thread in self._threads:
            thread.join()
        super().close()

    def seek(self, frame: int) -> None:
        """Show a frame of the timeline."""
        with self._lock, self._server.atomic():
            self.frame = min(max(frame, 0), len(self.scene.frames) - 1)
            self._place_people(self.scene, self.frame)
            centre = self.scene.centre_m
            self._world.position = (
                centre[0] - centre[self.frame] if self._show["follow"].value else (0.0, 0.0, 0.0)
            )
            self._slider.value = int(self.scene.frames[self.frame])
            self._clock.content = text_html(
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
        seeker = Seeker(open_video(scene.video).scaled(PICTURE_HEIGHT)) if scene.video else None
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

    def _look(self, event: Any) -> None:
        if event.client is not None:
            self._move_to(event.client, self.scene, self.frame)

    def _add_controls(self) -> None:
        """Timeline, switches and words."""
        gui, scene = self._server.gui, self.scene
        people = [figure for figure in scene.figures if not figure.compared]
        first, last = int(scene.frames[0]), int(scene.frames[-1])
        self._play_button: Any = gui.add_button("Play", icon=self._viser.Icon.PLAYER_PLAY)
        self._slider: Any = gui.add_slider("Frame", first, max(last, first + 1), 1, first)
        self._speed_choice = gui.add_dropdown("Speed ×", _SPEEDS, initial_value="1")
        self._clock = gui.add_html("")
        self._add_views()
        self._add_switches(
            {
                "picture": ("Picture", scene.video is not None),
                "overlay": ("2D keypoints", scene.image_size is not None),
                "deviation": ("Deviation", any(figure.pose.deviation_m is not None for figure in people)),
                "trail": ("Trail", True),
                "ground": ("Ground", True),
                "camera": ("Camera", self._frustum is not None),
                "names": ("Names", len(people) > 1),
                "compared": ("Compared", len(people) < len(scene.figures)),
                "together": ("Compared at the same root", len(people) < len(scene.figures)),
                "follow": ("Follow", True),
            }
        )
        if scene.image_size is not None:
            self._add_picture(scene.image_size)
        gui.add_html(legend_html(scene))
        with gui.add_folder("About this result"):
            gui.add_html(text_html(*scene.notes))
        self._play_button.on_click(lambda _: self._start_or_stop())
        self._slider.on_update(self._slid)
        self._speed_choice.on_update(lambda _: setattr(self, "_speed", float(self._speed_choice.value)))

    def _start_or_stop(self) -> None:
        self._playing = not self._playing
        self._play_button.label = "Pause" if self._playing else "Play"
        icons = self._viser.Icon
        self._play_button.icon = icons.PLAYER_PAUSE if self._playing else icons.PLAYER_PLAY

    def _slid(self, event: Any) -> None:
        if event.client is not None:  # not by this program
            self.seek(int(self._slider.value) - int(self.scene.frames[0]))

    def _switched(self) -> None:
        super()._switched()
        self.seek(self.frame)
