"""The lanes: who has which partition, and how its records are worked."""
