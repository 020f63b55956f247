"""Before a connection speaks: which process has an address, and what stands between socket and TLS."""
