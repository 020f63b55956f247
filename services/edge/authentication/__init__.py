"""Who is asking: ``http.handlers.authentication``, its providers and the hashes of passwords.

What lives here: reading credentials, comparing them in threads, what a known user leaves for later
handlers. What does not: certificates of clients (``services/edge/tls``), tokens of shares (sync).
"""
