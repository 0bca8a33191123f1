"""Image encoders and what they see."""
