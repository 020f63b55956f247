"""The bus: facts between rooms, on NATS.

What lives here: the interface (``api``), every subject, bucket and stream with its payload
(``subjects``), the NATS implementation and the memory one that tests use. What does not: requests;
those go through handlers and the hop.
"""
