"""`python -m graphengine.cli`, for a checkout that is not installed."""

import sys

from graphengine.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
