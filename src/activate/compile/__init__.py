"""Rules in, SQL out: pure functions from the project and one instant to the plan of a tick."""
