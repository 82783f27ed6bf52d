"""The responses of calls: a ``TypedDict`` each, and the function that makes it.

FastAPI makes the document's schemas from these types, and sends only the keys they name. Mypy
refuses a response with an unknown key, or with a key missing.
"""
