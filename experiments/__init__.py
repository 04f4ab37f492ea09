"""Commands that run the package many times and put the results side by side."""
