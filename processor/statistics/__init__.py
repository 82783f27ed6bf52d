"""How often people opt out: hours, usual ranges, and what goes on now."""
