"""Runs a plan in the warehouse, in one transaction."""
