"""Files fetched and brought: jobs, the disk, and what carries the bytes."""
