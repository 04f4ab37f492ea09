"""One folder a paper: what it claims, measured anew."""
