"""Providers of messages by HTTP: a pure module each, between a provider's bytes and our values."""
