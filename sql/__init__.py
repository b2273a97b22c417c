"""The database's source code: the schema, its migrations and every query by name."""
