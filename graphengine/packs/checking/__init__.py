"""What the code of a pack may do, read from its files without running them (docs/pack-checks.md)."""
