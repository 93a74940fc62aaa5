"""Files on their way between the disk and a client, over TCP or QUIC.

Each has a connection of its own, that has shown a ticket. Who may have what, the chat is asked;
rooms and sessions are not known here.
"""
