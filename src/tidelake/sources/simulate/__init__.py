"""Seeded simulators: logs with a planted cause, and the truth beside them."""
