"""Motion for training: recorded and invented, the cameras that look at it, and the detector's errors."""
