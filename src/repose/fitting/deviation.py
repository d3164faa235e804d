"""How far the fitted joints are from the truth, from what the network says of its own.

The posterior of the fit is far too sure: errors last from frame to frame, in the network's answer and in the
keypoints. So the network's deviation is taken, times a factor measured on the validation motion of the CMU
database with other bodies, seen by virtual cameras clean, with a detector's errors, and with hidden legs.
"""

SEEN_FACTOR = 0.95
HIDDEN_FACTOR = 1.3
