"""A hook of MkDocs: every notebook among the documents becomes a page, run anew from top to bottom."""

import tempfile
from functools import cache
from pathlib import PurePosixPath

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter
from nbconvert.preprocessors import ExecutePreprocessor


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the page of each notebook, and its pictures; the notebook itself can be downloaded."""
    for notebook in list(files):
        path = PurePosixPath(notebook.src_uri)
        if path.suffix == ".ipynb":
            text, pictures = _run(notebook.content_string, path.stem)
            text += f"\n\n[Download this page as a notebook]({path.name})\n"
            files.append(File.generated(config, str(path.with_suffix(".md")), content=text))
            for name, picture in pictures.items():
                files.append(File.generated(config, str(path.parent / name), content=picture))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to a notebook to its page."""
    return markdown if page.file.generated_by else markdown.replace(".ipynb)", ".md)")


@cache  # `mkdocs serve` builds again whenever another page is saved
def _run(source: str, name: str) -> tuple[str, dict[str, bytes]]:
    notebook = nbformat.reads(source, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        ExecutePreprocessor(timeout=300, extra_arguments=["--log-level=ERROR"]).preprocess(
            notebook, {"metadata": {"path": folder}}
        )
    text, resources = MarkdownExporter().from_notebook_node(notebook, {"output_files_dir": name})
    return text, resources["outputs"]
