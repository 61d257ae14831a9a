"""Tools to test rules with: scenarios, the oracle, generated worlds, scripted faults."""
