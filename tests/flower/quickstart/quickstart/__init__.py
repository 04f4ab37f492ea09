"""A Flower app of the shape that ``flwr new`` writes."""
