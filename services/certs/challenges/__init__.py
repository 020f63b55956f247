"""How the holder of a name is proven to an ACME authority: by HTTP, by TLS, or by a record in the DNS.

What lives here: the proofs, the questions to name servers, the ways to change zones (``providers``).
What does not: the protocol with the authority (``issuers/acme.py``).
"""
