"""Checks of a whole installation, one by one: each with what is wrong and what to do."""
