"""Runbooks: what people know about a crash, as files that are read, matched and checked.

The domain is handed texts, never paths: ``disk`` alone reads them.
"""
