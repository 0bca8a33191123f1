"""The text towers of diffusion transformers: T5, umT5 and language models, their vocabularies and their joins."""
