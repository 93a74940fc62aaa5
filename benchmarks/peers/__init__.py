"""Servers to measure beside, and the settings of others."""
