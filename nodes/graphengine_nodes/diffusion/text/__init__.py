"""From prompts to text states: tokenizers, towers, embeddings."""
