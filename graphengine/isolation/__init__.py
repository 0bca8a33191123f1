"""Packs in processes of their own: environments, workers, messages, limits (docs/isolation-and-trust.md)."""
