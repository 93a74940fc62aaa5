"""What every floor stands on.

Foreign text made safe and how wide it is, what is asked of a terminal, and what is kept between
runs. Nothing here imports another floor.
"""
