"""Every text of a result is shown as text: whatever it says, nothing runs and nothing is fetched."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Tab, until

from repose.export.results import write_poses
from repose.pose import Pose3D
from repose.sample import sample_video
from repose.skeleton import Skeleton
from repose.viewer import make_scene, write_page
from repose.viewer.player import Viewer

ELSEWHERE = "http://127.0.0.1:9/"
PAYLOADS = {
    "script": "</script></title><script>window.ran = 1</script>",
    "image": f"<img src={ELSEWHERE}a.png onerror='window.ran = 2'>",
    "frame": f"<iframe srcdoc='<script>parent.ran = 3</script>'></iframe><iframe src={ELSEWHERE}b></iframe>",
    "link": f"<a href='javascript:ran=4' onfocus='ran=5'>x</a><link rel=stylesheet href={ELSEWHERE}c>",
    "markdown": f"![x]({ELSEWHERE}d.png) [x](javascript:window.ran=6) <{ELSEWHERE}e>",
    "expression": "{(window.ran = 7)} ${(window.ran = 8)} {{motion}} {{script}}",
    "vector": "<svg onload='window.ran = 9'><use href='data:,x'/></svg> &lt;b&gt; \u202e\x1b[31m",
}


def hostile(pose: Pose3D, payload: str, folder: Path) -> Path:
    """A result that says the payload wherever a result says anything."""
    # Joints cannot be called so: `Skeleton` refuses it.
    skeleton = Skeleton(payload, (*pose.skeleton.joints, "hand"), (*pose.skeleton.parents, 13))
    names = ("joints_m", "seen", "confidence", "points_px", "deviation_m")
    wider = {name: np.concatenate([getattr(pose, name), getattr(pose, name)[:, 13:14]], 1) for name in names}
    name = payload.replace("/", "\u2215")
    record: dict[str, Any] = {
        "assumed": [payload],
        "source": payload,
        "video": f"/films/{name}.mp4",
        "video_signature": payload,
        "detector": payload,
        "identities": payload,
        "world": payload,
        "repose": payload,
        "swaps_undone": {payload: [(1, 2)]},
        "refined": {payload: {payload: [payload, {payload: payload}]}},
        payload: payload,
    }
    changed = replace(
        pose,
        **wider,
        skeleton=skeleton,
        model=payload,
        scale=payload,
        record=record,
    )
    result = folder / f"result {name}"
    write_poses([changed, replace(changed, track_id=1)], result)
    # The video's own name, too, which becomes the title.
    (result / f"{name}.mp4").write_bytes(sample_video().read_bytes())
    return result


def check_harmless(tab: Tab, payload: str, own: Callable[[str], bool]) -> None:
    page = tab.page
    assert page.evaluate("window.ran") is None
    assert page.locator("iframe, link[href*='127.0.0.1:9'], a[href^='javascript'], [onfocus]").count() == 0
    assert page.locator("img[onerror], svg[onload]").count() == 0
    assert [url for url in tab.requests if not own(url)] == []
    assert tab.errors == []
    text = page.locator("body").text_content()
    for said in (f"Scale: {payload}.", f"Model: {payload}."):
        assert said in text


@pytest.mark.parametrize("kind", PAYLOADS)
def test_text_in_the_page_is_text(kind: str, walker: Pose3D, tmp_path: Path, tab: Tab) -> None:
    result = hostile(walker, PAYLOADS[kind], tmp_path)
    write_page(result, tmp_path / "page.html", compare=result, picture=False)
    tab.page.goto((tmp_path / "page.html").as_uri())
    until(lambda: tab.page.evaluate("document.querySelector('#now').textContent.length > 0"))
    check_harmless(tab, PAYLOADS[kind], lambda url: url.startswith(("file:", "blob:", "data:")))
    assert PAYLOADS[kind].replace("/", "\u2215") in tab.page.locator("#title").text_content()


@pytest.mark.parametrize("kind", PAYLOADS)
def test_text_in_the_viewer_is_text(kind: str, walker: Pose3D, tmp_path: Path, tab: Tab) -> None:
    pytest.importorskip("viser")
    result = hostile(walker, PAYLOADS[kind], tmp_path)
    with closing(Viewer(make_scene(result, result), port=8300)) as viewer:
        own = viewer.url.partition("//")[2]
        tab.page.goto(viewer.url)
        tab.page.get_by_role("button", name="Play").wait_for()
        tab.page.get_by_text("Up is not known").wait_for()
        tab.page.wait_for_timeout(300)
        check_harmless(
            tab,
            PAYLOADS[kind],
            lambda url: own in url.partition("//")[2][:30] or url.startswith(("data:", "blob:")),
        )
