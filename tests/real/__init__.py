"""Real input: other people's shops replayed hour by hour, and claims about what happened, checked by other SQL."""
