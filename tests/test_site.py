"""The documentation as a site: built with warnings as errors, its notebook run from top to bottom."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("material", "mkdocs", "mkdocstrings", "nbconvert", "ipykernel", "matplotlib", "mediapipe")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [package for package in NEEDED if find_spec(package) is None]
    if missing:
        pytest.skip(f"building the documentation needs {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("site")
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stdout + build.stderr
    return folder


def test_the_notebook_shows_what_it_found(site: Path) -> None:
    page = (site / "video-to-3d.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<img[^>]*src="video-to-3d/output', page)) == 3
    assert re.search(r"hidden +\d+ mm", page)
    assert (site / "video-to-3d.ipynb").exists()


def test_pages_ask_nothing_of_the_network(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="?(?:https?:)?//[^>]*', text)


def test_names_in_the_reference_are_those_of_the_package(site: Path) -> None:
    """Everything that `repose` exports is described somewhere."""
    import repose

    described = " ".join(page.read_text(encoding="utf-8") for page in (site / "api").glob("*.html"))
    modules = {"losses", "metrics", "models"}
    for name in set(repose.__all__) - modules:
        assert re.search(rf'id="repose\.(?:\w+\.)*{name}"', described), name


def test_search_works_from_disk(site: Path, browser: Any) -> None:
    """What the theme runs in a web worker, which a page from disk may not have: docs/javascripts."""
    page = browser.new_page()
    page.set_default_timeout(120_000)
    error_console: list[str] = []
    page.on("pageerror", lambda error: error_console.append(str(error)))
    page.on(
        "console", lambda message: error_console.append(message.text) if message.type == "error" else None
    )
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("s")
    page.keyboard.type("deviation", delay=20)
    page.locator(".md-search-result__item").first.wait_for()
    assert "deviation" in page.locator(".md-search-result__list").inner_text()
    assert not error_console
    page.close()
