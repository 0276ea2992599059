"""``python -m grilly``."""

import sys

from grilly.cli import main

if __name__ == "__main__":
    sys.exit(main())
