"""Settings that all Python tests share."""

from hypothesis import settings

# No deadlines: a spilling test on a busy disk is slow without being wrong.
settings.register_profile("quick", deadline=None, max_examples=50, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=20_000, print_blob=True)
settings.load_profile("quick")
