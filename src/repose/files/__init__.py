"""Reading and writing files: whole or not at all, as data and never as code."""
