"""Motion capture: one module per format."""
