"""The work of the lanes: match inbound messages, judge outbound sends."""
