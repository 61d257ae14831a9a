"""Takes providers' events in: from files, from a spool, or over HTTP."""
