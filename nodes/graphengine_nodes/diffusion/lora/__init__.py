"""Weights changed for good: LoRAs and their kin, merged models, models as files."""
