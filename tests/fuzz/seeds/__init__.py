"""Sound files of a few frames, made by the project's own writers where it has them."""
