"""Sites to servers: which block listens where, which routes it becomes, what TLS follows from it."""
