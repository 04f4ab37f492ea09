"""Commands that run the package many times and compare the results."""
