"""The commands of ``holdfast``, a module for those that need the same things."""
