"""The rules of the chat, and the state they go by: who is there, in which rooms, who hears what.

Pure: no socket, no clock, no file but through the archive and the shelf, so that a model can drive
it and every door is served alike. A request comes in as a type of ``framing``, with the session
that asks; records for the log and words for the outbox come out.
"""
