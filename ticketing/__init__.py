"""Sells, validates and books: PostgreSQL is its memory and the ledger is its truth."""
