"""Asking an upstream how it is: one probe, one sample.

What lives here: the three ways of asking (``http``, ``tcp``, ``grpc``) and who chooses among them
(``prober``). What does not: what follows from a sample; that is ``services.health.verdict``'s.
"""
