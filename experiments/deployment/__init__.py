"""A federation of real processes on this machine, and the same run without them."""
