"""Training: the loop, its run folder, validation, logging, comparison and presets."""
