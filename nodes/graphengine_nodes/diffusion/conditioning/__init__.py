"""CONDITIONING and LATENT values, and what each kind of model is told beside a text."""
