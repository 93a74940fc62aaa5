"""Who somebody is: users.json, and proving a password by SCRAM.

Nothing here knows over which door somebody comes, or what is done in the chat.
"""
