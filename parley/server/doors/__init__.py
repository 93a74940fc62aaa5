"""What clients say becomes requests here, and what they are told becomes bytes again.

What every door is, the one for the native wire, and a peer: a connection, its door and its session
together. The door for browsers is a floor of its own, ``web``. What a request means is not known
here.
"""
