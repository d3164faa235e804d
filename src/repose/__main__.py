"""`python -m repose` is the command `repose`."""

from repose.cli import main

if __name__ == "__main__":
    main()
