"""Validate, link and plan."""
