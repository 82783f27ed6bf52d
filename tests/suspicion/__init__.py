"""The texts that the score is made of, and the program that makes it (R30)."""
