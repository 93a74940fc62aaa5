"""The full screen: a prompt_toolkit application over the client's model and session."""
