"""For those who run the server: metrics and health on a port, a supervisor, log lines.

Numbers are handed in by whoever has them: nothing here knows the chat, or imports more than the
loop and the ground.
"""
