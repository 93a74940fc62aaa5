"""The past, to be looked through: SQLite beside the log, and who reads from the two.

The index is derived from the log and disposable. What somebody may see comes in with each
question, as streams: rooms and sessions are not known here.
"""
