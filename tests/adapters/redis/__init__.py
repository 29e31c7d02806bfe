"""What holds for Redis only."""
