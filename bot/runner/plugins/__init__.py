"""Plugins that Ansible loads."""
