"""Estimator in the pipelines of docs/batch.md, each run as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import repose
from repose.models.spec import packaged_weights, read_spec

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "batch.md").read_text()
_SPEC = read_spec(packaged_weights()["default"])
assert _SPEC is not None
JOINTS = len(_SPEC.layout)
CHECK = f"""
JOINTS = {JOINTS}
import glob
import numpy as np
import pandas
def check():
    assert len(joints_m) == len(paths) and all(len(people) == 2 for people in joints_m)
    assert joints_m[0][0].shape[1:] == (JOINTS, 3)
"""
BEFORE = {"Ray Data": "import ray\nray.init('local', num_cpus=5, include_dashboard=False)\n"}
"""What the machine has: here a cluster of its own, with room for four workers."""
CHECKS = {
    "multiprocessing": "    check()",
    "Dask": "    check()",
    "Ray Data": "table = pandas.concat(map(pandas.read_parquet, glob.glob('out/*.parquet')))\n"
    "assert set(table['path']) == set(map(str, paths))\n"
    "joints_m = np.array([np.asarray(row).tolist() for row in table['joints_m'][:4]])\n"
    "assert joints_m.shape == (4, JOINTS, 3)",
    "Spark": "assert {row.path for row in rows} == set(map(str, paths))\n"
    "assert len(rows[0].joints_m) == 3 * JOINTS",
}
NEEDS = {"multiprocessing": "concurrent", "Dask": "dask.bag", "Ray Data": "ray", "Spark": "pyspark"}


@pytest.mark.parametrize("name", CHECKS)
def test_an_example_of_the_docs(name: str, parity: Path, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS[name], reason=f"needs {NEEDS[name]}")
    found = re.search(rf"### {name}\n\n```python\n(.*?)```", DOCS, re.S)
    assert found
    keypoints = (parity / "alphapose" / "alphapose-results.json").read_text()
    for number in range(2):
        (tmp_path / f"{number}.json").write_text(keypoints)
    paths = [str(tmp_path / f"{number}.json") for number in range(2)]
    script = tmp_path / "example.py"
    script.write_text(
        f"paths = {paths}\n{CHECK}\n{BEFORE.get(name, '')}{found[1].rstrip()}\n{CHECKS[name]}\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=900, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_batch_of_a_table_becomes_rows(parity: Path) -> None:
    path = str(parity / "alphapose" / "alphapose-results.json")
    estimator = repose.Estimator()
    rows = estimator({"path": np.array([path, path])})
    first, second = estimator(path)
    assert rows["path"].tolist() == [path] * 2 * (len(first) + len(second))
    np.testing.assert_allclose(rows["joints_m"][: len(first)], first.joints_m, atol=1e-6)
    assert rows["seen"].shape == (len(rows["path"]), JOINTS)
