"""How often people opt out: hourly counts, usual ranges, and live figures."""
