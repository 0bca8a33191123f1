"""Autoencoders between pictures, videos and latents."""
