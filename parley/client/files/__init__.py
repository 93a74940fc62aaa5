"""Files fetched and brought: jobs, the disk, and what carries the bytes.

Each file goes in a thread, beside the loop, which only hears how far it is.
"""
