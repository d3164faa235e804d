"""`repose live`."""

import webbrowser
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.live import Live as LiveLine
from rich.text import Text

from repose.cli.poses import people, summarise
from repose.cli.terminal import Interrupted, console, echo
from repose.errors import Within, check_ranges
from repose.export.results import FILES
from repose.live import (
    Feed,
    Frame,
    JsonServer,
    LiveOptions,
    OscSender,
    Recording,
    Session,
    Show,
    Sink,
    Status,
    open_session,
)


@dataclass(frozen=True)
class Live:
    """Estimate 3D poses from a camera while it films, and show, record or send them.

    Ctrl-C ends it, and so does the end of a file or stream; a recording is written then.
    """

    source: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")] = None
    """Instead of a camera: a video, played at its own speed; an address (rtsp://, http://); or - for a video
    on standard input."""
    session: tyro.conf.OmitArgPrefixes[LiveOptions] = field(default_factory=LiveOptions)
    record: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder for a result, as repose estimate writes it: poses.npz, poses.json, poses.csv."""
    force: bool = False
    """Overwrite existing files."""
    view: bool = True
    """Show people in the browser."""
    browser: bool = True
    """Open the browser; otherwise only print the address."""
    host: str = "127.0.0.1"
    """Address to serve at; 0.0.0.0 also serves other machines."""
    port: Annotated[int, Within(1, 65_535)] = 8080
    """Port to serve at, or the next free one if it is taken."""
    websocket: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """Send JSON to programs that connect by WebSocket here, such as 127.0.0.1:9001 (docs/live.md)."""
    origin: Annotated[tuple[str, ...], tyro.conf.arg(metavar="URL")] = ()
    """Web pages that may read the WebSocket, such as http://localhost:3000; others may not."""
    osc: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """Send OSC to this address by UDP, such as 127.0.0.1:9000."""
    seconds: Annotated[float | None, Within(0.1, 1e7)] = None
    """End after so long."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def run(self) -> None:
        with ExitStack() as stack:
            recording: Recording | None = None
            sinks: list[Sink] = []
            if self.record:
                recording = stack.enter_context(closing(Recording(self.record, force=self.force)))
                sinks.append(recording)
            if self.websocket:
                server = stack.enter_context(closing(JsonServer(self.websocket, self.origin)))
                sinks.append(server)
                echo(f"JSON over WebSocket: {server.url} {_reach(self.websocket)}")
            if self.osc:
                sinks.append(stack.enter_context(closing(OscSender(self.osc))))
                echo(f"OSC: sent to {self.osc} by UDP.")

            def show(feed: Feed) -> Show:
                return self._viewer(stack, feed)

            session = open_session(self.session, self.source, sinks, show if self.view else None)
            self._film(session, recording)

    def _viewer(self, stack: ExitStack, feed: Feed) -> Show:
        from repose.viewer.live_viewer import LiveViewer

        def left() -> None:
            echo(f"The page was closed; it goes on, and can be opened again: {viewer.url}")

        size = feed.info.width, feed.info.height
        viewer = LiveViewer(f"RePOSE, {feed.name}", size, self.host, self.port, left)
        stack.enter_context(closing(viewer))
        echo(f"Viewer: {viewer.url} {_reach(f'{self.host}:')}")
        if self.browser and not webbrowser.open(viewer.url):
            echo("No browser opened; open the address yourself.")

        def show(frame: Frame, status: Status) -> None:
            lines = [f"{frame.time_s:.2f} s", *describe(status)]
            viewer.show(frame.number, frame.picture, frame.poses, lines)

        return show

    def _film(self, session: Session, recording: Recording | None) -> None:
        """Wait for the end, whatever it is, and write what was recorded."""
        signal: KeyboardInterrupt | None = None
        session.start()
        try:
            self._wait(session)
        except KeyboardInterrupt as interrupt:
            signal = interrupt
        session.stop()
        for line in describe(session.status):
            echo(line)
        if recording:
            _write(recording, session)
        session.check()
        if isinstance(signal, Interrupted):
            raise signal

    def _wait(self, session: Session) -> None:
        info = session.feed.info
        echo(
            f"{session.feed.name}: {info.width} × {info.height} at {info.fps:g} frames per second. "
            "Ctrl-C ends it."
        )
        left_s = self.seconds or float("inf")
        with LiveLine(console=console, transient=True, auto_refresh=False) as line:
            while left_s > 0 and not session.wait(min(left_s, 1.0)):
                left_s -= 1.0
                if console.is_terminal:
                    line.update(Text("\n".join(describe(session.status))), refresh=True)


def describe(status: Status) -> list[str]:
    """Say how it goes, in a few lines."""
    dropped = f"{status.dropped} of {status.captured} frames" if status.dropped else "none"
    lines = [
        f"Frames per second: camera {status.camera_hz:.1f}, detector {status.detected_hz:.1f}, "
        f"lifter {status.lifted_hz:.1f}, viewer {status.shown_hz:.1f}.",
        f"Dropped at the camera: {dropped}.",
    ]
    median_ms, high_ms = status.latency_ms
    if median_ms == median_ms:
        lines.append(f"Camera to screen: {median_ms:.0f} ms, 95 % within {high_ms:.0f} ms.")
    return lines


def _write(recording: Recording, session: Session) -> None:
    poses = recording.write(session.facts)
    if not poses:
        echo("Nobody was seen: nothing was recorded.")
        return
    summarise(poses)
    places = ", ".join(str(recording.folder / name) for name in FILES)
    echo(f"{sum(map(len, poses))} frames of {people(poses)}. Results: {places}")


def _reach(address: str) -> str:
    """Say from where an address can be reached."""
    here = address.rpartition(":")[0] in ("127.0.0.1", "localhost", "[::1]", "::1")
    return "(this machine alone)." if here else "(other machines can read it)."
