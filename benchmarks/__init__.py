"""Measurements and long checks: see README.md here."""
