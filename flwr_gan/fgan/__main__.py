"""``python -m flwr_gan.fgan``."""

import sys

from flwr_gan.fgan.command import main

if __name__ == "__main__":
    sys.exit(main())
