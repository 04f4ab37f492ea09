"""A Flower app that needs nothing but numpy: linear regression with a counter of its steps."""
