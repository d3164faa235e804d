"""A batch on a Ray cluster of two nodes, of which one is removed, and a worker is killed."""

import subprocess
import sys
from pathlib import Path

import pytest
from simulated import SIMULATED, calls

import repose
from repose.batch import cluster
from repose.errors import UserError

SCRIPT = """
import json, sys
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
import repose
from simulated import Simulated

if __name__ == "__main__":
    clips, out = sys.argv[1:]
    nodes = Cluster()
    nodes.add_node(num_cpus=1)
    second = nodes.add_node(num_cpus=1)
    ray.init(nodes.address, log_to_driver=False)
    told = []

    def tell(row, done, total):
        told.append((done, total))
        if done == 4:
            nodes.remove_node(second, allow_graceful=False)

    summary, failed = repose.run_batch([clips], out, address="auto", estimator=Simulated, told=tell)
    print("found", json.dumps([summary.done, summary.failed, failed, told[-1]]))
    ray.shutdown()
    nodes.shutdown()
"""


def test_a_node_and_a_worker_are_lost_and_nothing_else(clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs Ray (pip install '.[batch]')")
    for number in range(20):
        (clips / f"{number}.mp4").write_text("sleep 0.2")
    (clips / "killer.mp4").write_text("kill once")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script, clips, tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=900,
        env=SIMULATED,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "found [23, 1, 1, [24, 24]]" in done.stdout
    rows = list(repose.read_batch(tmp_path / "out").rows())
    assert len(rows) == 24
    assert calls(clips).count("killer.mp4") == 2
    # Whoever was at work on the node that was lost was done again, and nobody else.
    assert len(calls(clips)) <= 24 + 2


def test_without_ray_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="a cluster needs Ray") as missing:
        cluster.import_ray()
    assert "--shard i/n" in missing.value.hint
