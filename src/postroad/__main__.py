"""`python -m postroad` is the `postroad` command."""

import sys


def run() -> None:
    from postroad.cli.main import main

    sys.exit(main())


if __name__ == "__main__":
    run()
