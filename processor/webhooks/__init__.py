"""Requests to applications: when they are made, what they contain, and what follows a failure."""
