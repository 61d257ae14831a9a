"""Activate turns a data warehouse into a customer-engagement engine."""

__version__ = "0.1.0"
