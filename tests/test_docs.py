import json
import re
from pathlib import Path

import pytest

from repose.models import list_models
from repose.skeleton import SKELETONS, Skeleton

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_the_conventions_list_every_joint_in_order(skeleton: Skeleton) -> None:
    text = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")
    assert f"**{skeleton.name}** ({len(skeleton)}): {', '.join(skeleton.joints)}.\n" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        linked = page.parent / target if target else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_the_table_of_models_is_that_of_the_command() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    rows = {row[0]: row for row in re.findall(r"^\| (\S+) \| (.*?) \|$", text, re.MULTILINE)}
    models = {model.name: model for model in list_models()}
    packaged = {name for name, model in models.items() if model.weights}
    for name in packaged | {"repose", "motionbert", "motionagformer-xs"} | (models.keys() & rows.keys()):
        model, spec = models[name], models[name].spec
        row = (
            f"{model.parameters / 1e6:.1f} M | {spec.window_frames} | {spec.frame_rate_hz:g} | "
            f"{spec.normalisation} | {'packaged' if model.weights else 'yours'}"
        )
        assert rows[name][1] == row


@pytest.mark.parametrize("notebook", sorted(ROOT.glob("docs/**/*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_kept_without_what_they_print(notebook: Path) -> None:
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
