"""Where providers' events come from: each source verifies a request and reads the events in it, without any I/O."""
