"""Runbook."""
