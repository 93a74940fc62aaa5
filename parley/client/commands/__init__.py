"""What one can type that is no message. ``table`` has them all, ``face`` what they need of the face
they are typed into."""
