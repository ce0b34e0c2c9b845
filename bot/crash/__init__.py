"""Read crash reports out of console text."""
