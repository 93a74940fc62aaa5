"""What one can type that is no message. ``table`` has them all."""
