"""Databases: which URLs name one, how PostgreSQL is spoken to, and how long a connection may stay silent."""
