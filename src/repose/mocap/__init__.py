"""Motion capture: one module a format."""
