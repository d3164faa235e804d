"""To be looked at: results in the browser, as one page, as a video, as a sheet of poses."""

from repose.view.film import render_video
from repose.view.live import view
from repose.view.page import write_page
from repose.view.scene import Scene, make_scene
from repose.view.sheet import render_sheet

__all__ = ["Scene", "make_scene", "render_sheet", "render_video", "view", "write_page"]
