"""Views of results: in the browser, as a single page, as a video, as a sheet of poses."""

from repose.viewer.film import render_video
from repose.viewer.page import write_page
from repose.viewer.player import view
from repose.viewer.scene import Scene, make_scene
from repose.viewer.sheet import draw_moment, render_sheet

__all__ = ["Scene", "draw_moment", "make_scene", "render_sheet", "render_video", "view", "write_page"]
