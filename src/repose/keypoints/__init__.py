"""2D keypoint files: one module per format."""
