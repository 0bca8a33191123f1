"""Writes what a run did into its records: the one beside the cache, and the one in the project's history."""
