"""Make the graphs of the packaged weights for ONNX, which have everything but the weights themselves.

    python scripts/package_graph.py

Needed after another network was packaged; weights of the same shapes need it not.
"""

from repose.models import packaged_weights
from repose.models.onnx_export import export_graph
from repose.models.spec import read_spec


def main() -> None:
    for path in packaged_weights().values():
        spec = read_spec(path)
        assert spec is not None
        graph = path.with_suffix(".onnx")
        export_graph(spec, graph)
        print(f"{graph}: {graph.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
