"""The command line, called as its users call it."""

from repose.cli import main


def run(*arguments: object) -> int:
    """Exit code of `repose arguments…`."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0
