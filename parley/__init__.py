"""The chat: ``parley.server`` and ``parley.client``, which know each other only by the wire."""
