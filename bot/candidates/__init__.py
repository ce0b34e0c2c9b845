"""What might turn a crash off, for people to look at: never a recommendation."""
