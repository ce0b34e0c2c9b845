"""Holdfast: incident runbook automation, from a crash signature to a held mitigation."""
