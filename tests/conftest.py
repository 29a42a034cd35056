"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# How long an example takes, or data for it, says something about the machine and nothing about the program.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
