"""Content hashes and stores."""
