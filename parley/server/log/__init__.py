"""The truth: what was said and done, in one order, in history.json and the files before it.

Everything else can be made again from it. What a record is, is known here; not who is there, or
who may see what.
"""
