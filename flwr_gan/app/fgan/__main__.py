"""``python -m flwr_gan.app.fgan``."""

import sys

from flwr_gan.app.fgan.command import main

if __name__ == "__main__":
    sys.exit(main())
