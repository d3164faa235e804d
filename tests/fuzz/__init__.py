"""Damaged and hostile files for every reader: each is read right, or refused with a `UserError`.

`python -m tests.fuzz --inputs 100000` from the root of the project; the tests run a few thousand inputs and
all that once escaped (`escapes`). An input is a function of seed, reader and number, so a finding can be
made again.
"""
