"""People lifted while a camera films them: stages side by side, a recording, messages to other programs."""

from repose.live.broadcast import JsonServer, OscSender
from repose.live.opening import LiveOptions, Show, open_session
from repose.live.recording import Recording
from repose.live.stages import Feed, Frame, Session, Sink, Status

__all__ = [
    "Feed",
    "Frame",
    "JsonServer",
    "LiveOptions",
    "OscSender",
    "Recording",
    "Session",
    "Show",
    "Sink",
    "Status",
    "open_session",
]
