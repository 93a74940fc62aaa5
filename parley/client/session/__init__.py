"""A session with a server: it connects, gets in, sends, and comes back by itself. No screen."""
