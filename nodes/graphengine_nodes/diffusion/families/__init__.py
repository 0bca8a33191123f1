"""Which model families there are, and how a file becomes a MODEL, a CLIP and a VAE."""
