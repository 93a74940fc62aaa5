"""What there is to show, as plain data that every face reads.

No screen, no socket, no clock. What happens in a session comes in, made safe on its way.
"""
