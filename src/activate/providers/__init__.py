"""One module per provider: it builds requests and reads answers, and does no I/O of its own."""
