"""What a file says: models, readers and conversion."""
