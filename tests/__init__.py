"""Tests whose names state the behaviour of the system."""
