"""Diffusion transformers: SD3, Flux, Qwen-Image, Wan and their relatives, one module per family."""
