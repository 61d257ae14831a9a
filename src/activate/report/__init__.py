"""What people see: the story of one person, the figures of a tick, the state of the outbox; as text and as JSON."""
