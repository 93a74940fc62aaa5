"""The loop and what hangs on it: listeners, connections, and TLS under them.

Bytes come and go here, and nobody looks at what they say: no requests, no sessions, no chat.
"""
