"""Fuzzing: bytes nobody meant, into the parts that meet them first, and into a live server."""
