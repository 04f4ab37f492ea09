"""Every family of compression on the same trained generators, with the same measures."""
