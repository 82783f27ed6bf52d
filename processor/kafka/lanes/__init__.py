"""The lanes: assign partitions to members, and process their records."""
