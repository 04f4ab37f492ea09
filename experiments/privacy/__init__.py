"""Quality, bytes and membership inference against epsilon."""
