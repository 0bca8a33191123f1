"""What nodes show."""
