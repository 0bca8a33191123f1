"""Runs a workflow of the past again, and tells what came out otherwise: replay, verify, bisect."""
