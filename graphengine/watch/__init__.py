"""Keeps the results of workflows true while their files are edited."""
