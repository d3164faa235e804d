"""A page with a picture of each video of a batch, the worst first: where to look."""

import base64
import heapq
import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from html import escape
from pathlib import Path

from repose import palette
from repose.batch.dataset import Batch, VideoRow, badness
from repose.errors import UserError
from repose.files.output import check_file, stage_file
from repose.pose import Pose3D
from repose.viewer import draw_moment, make_scene

_SIDE_PX = 200
_STYLE = f"""
body {{ font: 15px/1.4 sans-serif; color: {palette.INK}; background: {palette.PAPER}; margin: 1.5em; }}
ol {{ display: grid; grid-template-columns: repeat(auto-fill, minmax({_SIDE_PX}px, 1fr)); gap: 1em; }}
ol {{ padding: 0; }}
li {{ list-style: none; border: 1px solid {palette.GRID}; padding: .5em; overflow-wrap: anywhere; }}
img {{ display: block; width: 100%; }} code {{ font-size: .85em; }} p {{ margin: .3em 0; }}
"""
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" 
  content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,"><title>RePOSE: videos</title><style>{style}</style></head><body>
<h1>{title}</h1><p>{summary}</p><ol>
"""


def write_overview(
    batch: Batch,
    path: str | Path,
    *,
    count: int = 60,
    force: bool = False,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> int:
    """Write a page with the videos of a batch that should be looked at first, each as a picture.

    What failed comes first, then the worst by what was not seen, left and right exchanged, and distance
    from the keypoints. The picture shows the middle of the video, where that may be shown, and the pose.

    Args:
        batch: the batch.
        path: the file to write.
        count: so many videos.
        force: overwrite an existing file.
        progress: called with what is done, how many videos, and of how many.

    Returns:
        How many videos the page shows.

    Raises:
        UserError: a batch without a video, and an output that cannot be written or is there.
    """
    check_file(path, force=force)
    total = failed = 0
    worst: list[tuple[float, str, VideoRow]] = []
    for row in batch.rows():
        total, failed = total + 1, failed + (row.status == "failed")
        entry = (_urgency(row), row.name, row)
        (heapq.heappush if len(worst) < count else heapq.heappushpop)(worst, entry)
    if not total:
        raise UserError(f"{batch.folder}: no video is done yet", "Let repose batch do some.")
    shown = [row for *_, row in sorted(worst, reverse=True)]
    with stage_file(path) as partial, partial.open("w", encoding="utf-8") as page:
        summary = (
            f"{total:,} videos, {failed:,} failed. The {len(shown):,} to look at first, the worst first:"
        )
        page.write(_HEAD.format(style=_STYLE, title=escape(batch.folder.name), summary=summary))
        for number, row in enumerate(shown, start=1):
            page.write(_entry(batch, row))
            if progress:
                progress("drawing", number, len(shown))
        page.write("</ol></body></html>\n")
    return len(shown)


def _urgency(row: VideoRow) -> float:
    found = badness(row)
    worst = max(found.get("least seen", 0), found.get("most swaps", 0), 10 * found.get("most residual", 0))
    return 2.0 if row.status == "failed" else min(worst, 1.0)


def _entry(batch: Batch, row: VideoRow) -> str:
    facts = [
        f"{row.people} people, {row.seconds:.1f} s" if row.people != 1 else f"1 person, {row.seconds:.1f} s",
        f"{row.seen_share or 0:.0%} seen",
    ]
    facts += [f"sides put back in {row.frames_swapped} frames"] if row.frames_swapped else []
    facts += (
        [f"{100 * row.residual:.1f} % of the height from the keypoints"] if row.residual is not None else []
    )
    words = f"Failed: {row.message}" if row.status == "failed" else "; ".join(facts)
    picture = how = ""
    if row.status == "done":
        with suppress(UserError):  # damaged, or without anybody in any frame: the facts are there
            picture = f'<img alt="" src="{_picture(batch[row.name])}">'
        command = f"repose view {batch.folder} --video {row.name}"
        how = f"<p><code>{escape(command)}</code></p>"
    return (
        f'<li id="{escape(row.name)}">{picture}<p><b>{escape(Path(row.source).name)}</b></p>'
        f"<p>{escape(words)}</p>{how}</li>\n"
    )


def _picture(poses: list[Pose3D]) -> str:
    from PIL import Image

    try:
        scene = make_scene(poses)
    except UserError:  # of its video, which has changed
        record = {key: value for key, value in poses[0].record.items() if key != "video"}
        scene = make_scene([replace(poses[0], record=record), *poses[1:]])
    image = Image.fromarray(draw_moment(scene))
    image.thumbnail((2 * _SIDE_PX, 4 * _SIDE_PX))
    data = io.BytesIO()
    image.save(data, format="jpeg", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
