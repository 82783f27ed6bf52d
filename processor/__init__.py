"""Keyword opt-out for messaging: match inbound keywords, keep the block list, gate every send."""
