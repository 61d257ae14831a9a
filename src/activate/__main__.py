"""`python -m activate` is the command `dbt-activate`."""

import sys

from activate.cli import main

if __name__ == "__main__":
    sys.exit(main())
