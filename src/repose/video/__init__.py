"""Videos: decoding, upright and with the time of every frame, and encoding."""

from repose.video.camera_motion import CameraMotion, CameraWatch
from repose.video.decoding import Seeker, Video, VideoFrame, VideoInfo, frames, open_video
from repose.video.encoding import write_video
from repose.video.feed import Feed, FeedFrame, open_feed

__all__ = [
    "CameraMotion",
    "CameraWatch",
    "Feed",
    "FeedFrame",
    "Seeker",
    "Video",
    "VideoFrame",
    "VideoInfo",
    "frames",
    "open_feed",
    "open_video",
    "write_video",
]
