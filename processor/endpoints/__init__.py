"""Applications outside: who is asked when, and how a request is made."""
