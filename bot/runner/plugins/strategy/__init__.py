"""Strategies: in which order, and over which lane, tasks reach the hosts."""
