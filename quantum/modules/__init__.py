"""Modules: what a configuration names, by Caddy's ids, and how it comes to life.

What lives here: the table from id to code (``registry``), the shape of its rows (``spec``), routes
and module references inside configuration models (``config``), and the life of instances
(``lifetime``). What does not: the modules; each room lists its own in its ``manifest``.
"""
