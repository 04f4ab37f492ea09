"""What every room may use: settings that check themselves, state trees, atomic files, memory."""
