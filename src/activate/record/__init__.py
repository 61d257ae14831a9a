"""Activate's own tables: made, read and written here."""
