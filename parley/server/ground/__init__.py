"""What every floor stands on.

The time, how much anybody may, what the server counts of itself, and small files that are read and
written with care. Nothing here imports another floor, or knows that this is a chat.
"""
