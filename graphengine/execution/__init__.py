"""Runs: state, events, executors."""
