"""A session with a server: it connects, gets in, asks, sends, and comes back by itself.

No screen. Whoever shows it is told what happens, as types of ``happenings``, in batches.
"""
