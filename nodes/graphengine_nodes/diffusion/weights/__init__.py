"""Model files and the tensors in them: read, checked, mapped, cast on first use, and given to networks."""
