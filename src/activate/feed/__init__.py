"""Serves what the provider `feed` has put into its table: in-app messages and content cards, to the person's own app."""
