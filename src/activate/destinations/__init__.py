"""Where audiences are kept: each destination says what to send and what an answer means; none does any I/O."""
