"""``http.handlers.acme_server``: an authority of ours for clients that speak ACME (RFC 8555).

``handler`` answers requests, ``signed`` takes them apart, ``records`` keeps accounts and orders,
``validation`` looks whether a client holds its names, ``issuing`` signs. Runs in the certs room, where the
authority's keys are; edge reaches it over the hop.
"""
