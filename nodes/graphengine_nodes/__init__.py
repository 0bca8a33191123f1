"""The built-in node packs."""
