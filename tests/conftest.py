"""What holds for every test: a machine that is busy with something else makes none of them fail."""

from hypothesis import HealthCheck, settings

# Examples are counted, not timed: what takes too long as a whole is ended by pytest's own timeout.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
