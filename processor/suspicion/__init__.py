"""Opt-outs in a recipient's own words: phrases, and a score of free text (R30)."""
