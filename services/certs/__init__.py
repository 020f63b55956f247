"""The certs room: certificates: the local CA and ACME."""
