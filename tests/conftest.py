"""Shape checks on for the whole package, one thread, where the data for tests lies, and a browser."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jaxtyping import install_import_hook

# Every annotation of the package is checked while the tests run, at no cost in use; an int will do where
# a float is expected, as everywhere in Python.
install_import_hook("repose", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

import hypothesis
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PARITY = ROOT / "tests" / "parity"
SHARED = ROOT.parent / "shared"
"""Motion capture and real video that may not be committed; tests that need it skip where it is absent."""

BROWSER_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)

torch.manual_seed(0)
torch.set_num_threads(1)
# The same examples in every run, and no failure because the machine was busy.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package keeps what is this user's, in place of the user's own folder."""
    folder = tmp_path_factory.mktemp("state")
    os.environ["XDG_STATE_HOME"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def parity() -> Path:
    """Folder of the fixtures with the published programs' outputs."""
    return PARITY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with motion capture and real video; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"needs motion capture and video in {SHARED.name}/ beside the project; absent here")
    return SHARED


@pytest.fixture(scope="session")
def chromium() -> str:
    """Chromium or a browser like it; skips where there is none, unless REPOSE_BROWSER names it."""
    named = os.environ.get("REPOSE_BROWSER")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None and named:
        pytest.fail(f"REPOSE_BROWSER is {named}, which is not there")
    if found is None:
        pytest.skip("needs Chromium (apt install chromium), which is not there")
    return found


@pytest.fixture(scope="session")
def launch(chromium: str) -> Iterator[Callable[..., Any]]:
    """Start a browser, with more flags."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        yield lambda *flags: driver.chromium.launch(executable_path=chromium, args=[*BROWSER_FLAGS, *flags])


@pytest.fixture(scope="session")
def browser(launch: Callable[..., Any]) -> Iterator[Any]:
    window = launch()
    yield window
    window.close()
