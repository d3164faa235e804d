"""How far the fitted joints are from the truth, from what the network says of its own.

The posterior of the fit is far too sure: errors last from frame to frame, in the network's answer and in the
keypoints. So the network's deviation is taken, times a factor measured on motion capture with other
bodies than the training's, seen by virtual cameras with a detector's errors (`benchmarks/fit.py`).
"""

SEEN_FACTOR = 1.0
HIDDEN_FACTOR = 1.0
