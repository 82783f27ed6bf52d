"""Check that docstrings, comments, messages and pages are written in plain English."""
