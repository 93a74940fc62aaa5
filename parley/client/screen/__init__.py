"""The full screen, one of three faces: a prompt_toolkit application over the model and the session.

``app`` puts the parts together; a part knows those it is given, and no part knows ``app``.
"""
