"""Each topic as it is read and written, and all of them as they should be."""
