"""The configuration: editing it, and putting it in force. Nothing here runs per message."""
