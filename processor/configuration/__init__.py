"""What people edit, and how it comes into force; nothing here runs for each message."""
