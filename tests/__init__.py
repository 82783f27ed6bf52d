"""What the system must do, as sentences."""
