"""One class per warehouse: how to connect, run, stream and bulk-load, and the few SQL differences there are."""
