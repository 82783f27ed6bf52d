"""The languages a service may speak, each a file of keywords and replies to start from."""
