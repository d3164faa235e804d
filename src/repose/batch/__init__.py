"""Many videos: found, shared out to workers, and kept as one data set.

repose batch clips/ -o out                    # the same from the command line
repose.read_batch("out")                      # the poses, by the names of the videos
"""

from repose.batch.dataset import Batch, Summary, VideoRow, is_batch, read_batch
from repose.batch.inputs import Item, find_items
from repose.batch.overview import write_overview
from repose.batch.run import BatchOptions, run_batch

__all__ = [
    "Batch",
    "BatchOptions",
    "Item",
    "Summary",
    "VideoRow",
    "find_items",
    "is_batch",
    "read_batch",
    "run_batch",
    "write_overview",
]
