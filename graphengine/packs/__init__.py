"""Find and load node packs."""
