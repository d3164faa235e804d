"""2D keypoint files: one module a format."""
