"""How property tests run here: the machine may be busy, so time is no reason to fail."""

from hypothesis import HealthCheck, settings

PATIENT = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
THOROUGH = settings(PATIENT, max_examples=200)
