"""Oracles that tests and notebooks hold the rest against: slow, and written apart from what they check."""
