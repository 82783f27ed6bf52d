"""What the lanes do: match what comes in, judge what goes out."""
