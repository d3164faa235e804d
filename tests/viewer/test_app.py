"""The app: its build, what it says where something is missing, and a video and a camera lifted by it."""

import csv
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from browser import Served, Tab, serve, share_of, until

import repose
from repose.cli import main
from repose.errors import UserError
from repose.metrics import p_mpjpe
from repose.palette import SIDES, rgb
from repose.sample import load_sample_truth, sample_video
from repose.skeleton import H36M_17
from repose.viewer.app import write_app
from repose.viewer.page import WEB, fill_in, source_text, viewer_style

FRAMES = 5
LARGEST = 25e6
"""Bytes that a browser may load before the first pose."""


def test_without_npm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as end:
        main(["page", "--app", str(tmp_path / "app")])
    assert end.value.code == 2
    assert "come from npm, which is not there" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_packages_that_cannot_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "npm").write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(UserError, match="npm could not fetch the app's packages: npm error code ENOTFOUND"):
        write_app(tmp_path / "app")
    assert not (tmp_path / "app").exists()


def test_folders_with_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(UserError, match="a new or empty folder, found files in it"):
            write_app(tmp_path, force=force)
    with pytest.raises(UserError, match="a new or empty folder, found a file"):
        write_app(tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_every_package_is_pinned_with_its_hash() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())
    wanted = json.loads((WEB / "package.json").read_text())["dependencies"]
    assert all(version[0].isdigit() for version in wanted.values())
    for name, package in lock["packages"].items():
        if name:
            assert package["integrity"].startswith("sha512-"), name
    assert lock["packages"][""]["dependencies"] == wanted


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site without what comes from npm: enough to say what is missing."""
    folder = tmp_path_factory.mktemp("bare")
    shutil.copytree(WEB, folder, dirs_exist_ok=True)
    parts = {"viewer": source_text("viewer.html"), "megabytes": "25"}
    (folder / "index.html").write_text(fill_in(source_text("app.html"), parts), encoding="utf-8")
    (folder / "viewer.css").write_text(viewer_style(), encoding="utf-8")
    return folder


MISSING = {
    "no WebAssembly with SIMD": "WebAssembly.validate = () => false",
    "too old": "delete window.DecompressionStream",
    "needs WebGL 2": "HTMLCanvasElement.prototype.getContext = () => null",
    "by https": "Object.defineProperty(window, 'isSecureContext', { value: false })",
}


@pytest.mark.parametrize("words", MISSING)
def test_what_is_missing_is_said(words: str, bare: Path, tab: Tab) -> None:
    tab.page.add_init_script(MISSING[words])
    with serve(bare) as served:
        tab.page.goto(served.url)
    assert words in tab.page.locator("#message").text_content()
    assert tab.page.locator("#message").is_visible()
    assert not tab.page.locator("#file").is_visible()


def test_opened_from_disk(bare: Path, tab: Tab) -> None:
    tab.page.goto((bare / "index.html").as_uri())
    assert "it was opened from disk" in tab.page.locator("#message").text_content()
    assert not tab.page.locator("#sources").is_visible()


def test_a_height_that_nobody_has(bare: Path, tab: Tab) -> None:
    with serve(bare) as served:
        tab.page.goto(served.url)
        tab.page.locator("#height").fill("9")
        tab.page.locator("#camera").click()
        until(lambda: tab.page.locator("#message").text_content())
    assert tab.page.locator("#message").text_content().startswith("The person's height is 0.3 to 3 metres.")
    assert tab.errors == []


@dataclass
class Open:
    """The whole app in a tab that may have any camera."""

    tab: Tab
    served: Served
    context: Any

    def text(self, selector: str) -> str:
        return self.tab.page.locator(selector).text_content()

    def forget(self) -> None:
        """Take away what was said before, so that `end` waits for something new."""
        self.tab.page.evaluate("document.querySelector('#message').textContent = ''")
        self.tab.page.evaluate("document.body.dataset.step = 'start'")

    def choose(self, video: Path) -> str:
        self.forget()
        self.tab.page.set_input_files("#file", video)
        return self.end()

    def end(self) -> str:
        """Wait until there is a result or something to say, and return that."""
        done = "document.body.dataset.step === 'done' || document.querySelector('#message').textContent"
        until(lambda: self.tab.page.evaluate(done), 1800)
        return self.text("#message")

    def save(self, kind: str, folder: Path) -> Path:
        with self.tab.page.expect_download() as download:
            self.tab.page.locator(f"[data-save={kind}]").click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frames of the sample, as they are, under a name that is data."""
    path = tmp_path_factory.mktemp("clip") / "<img src=x onerror=alert(1)> é.mp4"
    with av.open(str(sample_video())) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for number, packet in zip(range(FRAMES), source.demux(stream), strict=False):
            assert packet.dts is not None, number
            packet.stream = copy
            target.mux(packet)
    return path


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "empty.mp4"
    repose.video.write_video(path, [np.full((240, 320, 3), 90, np.uint8)] * 2, 30.0, 20)
    return path


@pytest.fixture(scope="module")
def app(launch: Callable[..., Any], clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    if shutil.which("npm") is None:
        pytest.skip("needs npm (Node.js), which is not there")
    pytest.importorskip("onnx")
    folder = tmp_path_factory.mktemp("app")
    try:
        write_app(folder / "site")
    except UserError as error:
        if "npm could not fetch" not in error.message:
            raise
        pytest.skip(f"needs npm's registry: {error.message}")
    film = folder / "camera.y4m"
    with av.open(str(clip)) as source, film.open("wb") as file:
        stream = source.streams.video[0]
        file.write(f"YUV4MPEG2 W{stream.width} H{stream.height} F30:1 Ip A1:1 C420jpeg\n".encode())
        for frame in source.decode(stream):
            file.write(b"FRAME\n" + frame.to_ndarray(format="yuv420p").tobytes())
    window = launch("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}")
    with serve(folder / "site") as served:
        context = window.new_context(viewport={"width": 1000, "height": 640})
        context.route(
            "**/*", lambda route: route.continue_() if is_ours(route.request.url) else route.abort()
        )
        page = context.new_page()
        page.set_default_timeout(600_000)
        tab = Tab(page)
        page.goto(served.url)
        yield Open(tab, served, context)
    window.close()


def is_ours(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "blob:", "data:"))


def test_what_is_no_video_is_said(app: Open, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("these are words")
    assert app.choose(tmp_path / "notes.mp4").startswith("This file is no video that a browser can read.")
    assert app.tab.page.locator("#sources").is_visible()


def test_the_sample_is_lifted_as_the_command_does(app: Open, clip: Path, tmp_path: Path) -> None:
    """Within 5 mm of the error of `repose demo` in the same frames; asking nobody else, under 25 MB."""
    assert app.choose(clip) == ""
    assert app.text("#title") == clip.name
    assert app.tab.page.title() == f"{clip.name}: RePOSE"
    said = app.text("#doing")
    sys.__stdout__.write(f"\nin the browser: {said}\n")  # as a log of the speed
    assert said.endswith("frames/s")
    truth = load_sample_truth().joints_m[:FRAMES].astype(np.float64)
    (track,) = json.loads(app.save("json", tmp_path).read_text())["tracks"]
    found = np.array([row["joints_m"] for row in track["poses"]])[:, : len(H36M_17)]
    assert [row["frame"] for row in track["poses"]] == list(range(FRAMES))
    assert track["fps"] == pytest.approx(30, rel=0.01)
    command = repose.estimate(clip)[0].to(H36M_17)
    here, there = (
        1000 * p_mpjpe(joints, truth).mean() for joints in (found, command.joints_m.astype(np.float64))
    )
    sys.__stdout__.write(f"error: {here:.1f} mm in the browser, {there:.1f} mm by the command\n")
    assert here < there + 5
    with app.save("csv", tmp_path).open() as file:
        assert len(list(csv.reader(file))) == FRAMES + 1
    assert app.save("bvh", tmp_path).read_text().startswith("HIERARCHY\nROOT pelvis")
    assert app.tab.errors == []
    assert [url for url in app.tab.requests if not is_ours(url)] == []
    assert 15e6 < sum(app.served.sent.values()) < LARGEST


def test_the_result_is_shown_beside_its_picture(app: Open) -> None:
    page = app.tab.page
    until(lambda: page.evaluate("state.film"))
    for size in ({"width": 1000, "height": 640}, {"width": 390, "height": 800}):
        page.set_viewport_size(size)
        page.locator("#slider").fill("3")
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        for name in ("#play", "#slider", "#saves", "#again"):
            box = page.locator(name).bounding_box()
            assert box["y"] + box["height"] <= size["height"], name
        space = app.tab.picture("#space canvas")
        for colour in SIDES.values():
            assert share_of(space, rgb(colour), 40) > 0.0004  # of the left, little is seen here
        assert share_of(app.tab.picture("#flat"), (52, 58, 64), 6) < 0.2, "a picture"
    page.set_viewport_size({"width": 1000, "height": 640})
    page.locator("#again").click()
    assert page.locator("#sources").is_visible()


def test_a_video_without_a_person(app: Open, empty: Path) -> None:
    assert app.choose(empty).startswith("Nobody was found in 2 pictures.")


def test_a_camera_that_is_refused_and_one_that_films(app: Open, tmp_path: Path) -> None:
    page = app.tab.page
    app.context.clear_permissions()
    app.forget()
    page.locator("#camera").click()
    assert app.end().startswith("The camera was refused.")
    app.context.grant_permissions(["camera"])
    app.forget()
    page.locator("#camera").click()
    until(lambda: page.evaluate("typeof scene === 'object' && scene?.live && count > 1"), 1800)
    page.locator("#stop").click()
    assert app.end() == ""
    assert app.text("#title") == "Camera"
    (track,) = json.loads(app.save("json", tmp_path).read_text())["tracks"]
    assert len(track["poses"]) >= 2
    assert track["coordinates"] == "camera"
    assert app.tab.errors == []
