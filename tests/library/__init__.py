"""The fixtures of the shipped runbooks: made from few templates, kept as files and read by people.

``python -m tests.library.write`` writes them anew. The texts are invented; their formats are the
kernel's own.
"""
