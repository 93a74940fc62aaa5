"""The files that people share, where they lie; what has come of others; tickets to carry one.

No socket here, and no rule about who may have what.
"""
