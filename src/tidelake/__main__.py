"""`python -m tidelake`."""

import sys

from tidelake.cli import main

if __name__ == "__main__":
    sys.exit(main())
