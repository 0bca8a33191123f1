"""From noise to a latent: samplers, schedules, guidance, and the whole run."""
