"""`repose view` and `repose render`."""

import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from repose.cli.terminal import ProgressBars, echo
from repose.errors import UserError, Within, check_ranges

if TYPE_CHECKING:
    from repose.pose import Pose3D
    from repose.viewer.player import Viewer
    from repose.viewer.scene import Scene

Result = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
Compared = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]


@dataclass(frozen=True)
class View:
    """View a result in the browser, or write it as a single page to share."""

    result: Result
    """Folder of a result, or its poses.npz; or the folder of a batch, whose videos are listed then."""
    video: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The video of a batch to view, by its name or its file's."""
    compare: Compared = None
    """A second result of the same video, or the ground truth, to show with the first."""
    html: Path | None = None
    """Write a single page instead, which needs no server and no network."""
    source: Path | None = None
    """The video that the result was made from, if it has moved."""
    picture: bool = True
    """Show the frames of the video; a page contains a small copy of them."""
    browser: bool = True
    """Open the browser; otherwise only print the address."""
    host: str = "127.0.0.1"
    """Address to serve at; 0.0.0.0 also serves other machines."""
    port: Annotated[int, Within(1, 65_535)] = 8080
    """Port to serve at, or the next free one if it is taken."""
    force: bool = False
    """Overwrite existing files."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def run(self) -> None:
        from repose.batch import is_batch

        result: Path | list["Pose3D"] = self.result
        if self.video is not None:
            from repose.batch import read_batch

            batch = read_batch(self.result)
            result = batch[batch.find(self.video).name]
        elif is_batch(self.result):
            self._list()
            return
        if self.html is None:
            from repose.viewer import view

            view(
                result,
                compare=self.compare,
                source=self.source,
                host=self.host,
                port=self.port,
                browser=self.browser,
                ready=_announce,
            )
            return
        from repose.viewer import write_page

        with ProgressBars() as bars:
            scene = write_page(
                result,
                self.html,
                compare=self.compare,
                source=self.source,
                picture=self.picture,
                force=self.force,
                progress=bars.report,
            )
        _explain(scene)
        echo(f"Written: {self.html} ({self.html.stat().st_size / 1e6:.1f} MB). Open it in any browser.")

    def _list(self) -> None:
        """Write a page with the videos of a batch, and open it."""
        from repose.batch import read_batch, write_overview

        page = self.html or self.result / "overview.html"
        force = self.force or self.html is None
        with ProgressBars() as bars:
            count = write_overview(read_batch(self.result), page, force=force, progress=bars.report)
        echo(f"Written: {page} ({count} videos). Open it in any browser.")
        if self.browser and self.html is None:
            webbrowser.open(page.resolve().as_uri())


@dataclass(frozen=True)
class Page:
    """Write the app: a page that lifts videos and the camera in the browser, for any web server.

    Nothing is uploaded, and no other host is asked. Building it needs npm, using it does not.
    """

    app: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder to write."""
    force: bool = False
    """Overwrite existing files."""

    def run(self) -> None:
        from repose.viewer.app import write_app

        size = write_app(self.app, force=self.force, progress=echo)
        echo(f"Written: {self.app} (a browser loads {size / 1e6:.1f} MB of it, once).")
        echo(f"Serve it: python -m http.server --bind 127.0.0.1 --directory {self.app}")
        echo("Then open http://localhost:8000. For other devices it must come by https.")


@dataclass(frozen=True)
class Render:
    """Render a result: a video with the 2D overlay next to the 3D view, or a sheet of poses for a paper."""

    result: Result
    """Folder of a result, or its poses.npz."""
    video: Path | None = None
    """File for a video (.mp4, .mov, .mkv), with the sound of the source."""
    sheet: Path | None = None
    """File for a sheet (PNG)."""
    compare: Compared = None
    """A second result of the same video, or the ground truth, to show with the first."""
    source: Path | None = None
    """The video that the result was made from, if it has moved."""
    height_px: Annotated[int, Within(64, 4320)] = 720
    """Height of the video in pixels, at most that of the source."""
    sheet_frames: Annotated[tuple[int, ...], Within(0, 10**9)] = ()
    """Frames of the sheet, by number; evenly spaced by default."""
    count: Annotated[int, Within(1, 100)] = 6
    """Number of frames of the sheet."""
    picture: bool = True
    """Show the frames of the video, under the 2D joints."""
    force: bool = False
    """Overwrite existing files."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def run(self) -> None:
        from repose.viewer import render_sheet, render_video

        if self.video is None and self.sheet is None:
            raise UserError("nothing to draw: expected --video FILE.mp4, --sheet FILE.png, or both")
        if self.sheet:
            scene = render_sheet(
                self.result,
                self.sheet,
                compare=self.compare,
                source=self.source,
                frames=self.sheet_frames,
                count=self.count,
                picture=self.picture,
                force=self.force,
            )
            _explain(scene)
            echo(f"Written: {self.sheet}")
        if self.video:
            started = time.monotonic()
            with ProgressBars() as bars:
                scene = render_video(
                    self.result,
                    self.video,
                    compare=self.compare,
                    source=self.source,
                    height=self.height_px,
                    picture=self.picture,
                    force=self.force,
                    progress=bars.report,
                )
            if not self.sheet:
                _explain(scene)
            echo(f"Written: {self.video} ({time.monotonic() - started:.1f} s)")


def _announce(viewer: "Viewer") -> None:
    _explain(viewer.scene)
    echo(f"Viewer: {viewer.url} (Ctrl-C stops it).")


def _explain(scene: "Scene") -> None:
    for note in scene.notes:
        echo(note)
