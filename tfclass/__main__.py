"""``python -m tfclass``: the command line, where its program is not on the PATH."""

from tfclass.cli.app import main

if __name__ == "__main__":
    main()
