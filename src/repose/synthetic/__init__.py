"""Synthetic training data: procedural motion, virtual cameras, occlusion, detector errors."""
