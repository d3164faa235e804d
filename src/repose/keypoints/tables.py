"""Tables of comma-separated values, as DeepLabCut and SLEAP write them."""

import csv
from collections.abc import Sequence
from io import StringIO

import numpy as np

from repose.errors import expected


def read_table(name: str, data: bytes) -> list[list[str]]:
    """Read the cells of each row that is not empty; raises UserError for rows of different lengths."""
    text = data.decode("utf-8-sig", errors="replace")
    rows = [row for row in csv.reader(StringIO(text, newline="")) if row]
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            expected(
                f"{name}: row {number}",
                f"{len(rows[0])} cells as in the first row",
                len(row),
                "The file may have been cut off while it was written or copied; make it again.",
            )
    return rows


def parse_cells(name: str, rows: Sequence[Sequence[str]]) -> np.ndarray:
    """Parse cells (rows, columns) as float64, NaN where one is empty; raises UserError for other words."""
    try:
        return np.array([[float(cell) if cell.strip() else np.nan for cell in row] for row in rows])
    except ValueError as error:
        expected(name, "a number", str(error).rpartition(": ")[2][:60])
