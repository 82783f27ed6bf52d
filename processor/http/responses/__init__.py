"""What calls answer: a ``TypedDict`` each, and how it is made of what is stored.

FastAPI makes the document's schemas from these types, and passes on only the keys they name: mypy
refuses an answer that has another key, or one too few.
"""
