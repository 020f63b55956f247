"""Who signs: the local authority (``internal``) and ACME authorities (``acme``).

An issuer turns a name into key material or raises IssuanceFailed; when to ask it is not its business.
"""
