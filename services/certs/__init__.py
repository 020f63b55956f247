"""The room of certificates: gets them, keeps them, renews them, hands them to edge over the hop.

What lives here: the local certificate authority, issuers (``issuers/``), certificates from files,
storage and renewal. What does not: TLS handshakes and the choice of a certificate (edge), and
answering ACME challenges on port 80 (edge, from the facts this room puts on the bus).
"""
