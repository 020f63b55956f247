"""What a proxy thinks of its upstreams, from its own requests and from what the health room says.

What lives here: the configuration of health checks, figures of each upstream, passive checks, outlier
ejection, circuit breakers, slow start. What does not: probing (the health room's), and choosing among
those that are left (``services.proxy.selection``).
"""
