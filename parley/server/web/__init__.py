"""The web door: the page, the wire over WebSocket, and files over HTTP, on a port of their own.

``front`` and ``connection`` have the sockets until somebody is let in or sent away; ``carrying``
has the files. ``site``, ``pages``, ``origins``, ``proxies``, ``handshake``, ``answers``, ``ranges``
and ``websocket`` are sans-IO. The chat knows nothing of all this.
"""
