"""Shape checks on for the whole package, one thread, and where the data for tests lies."""

from pathlib import Path

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

torch.manual_seed(0)
torch.set_num_threads(1)
# The same examples in every run, and no failure because the machine was busy.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


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
