"""The server, in floors: a package of one subject each, that stands on those below and knows
nothing of those above.

Here, at the top, is what puts the house together: the options, the start, and the tick with those
who come into it. docs/ARCHITECTURE.md has the floors in their order, and a test holds them to it.
"""
