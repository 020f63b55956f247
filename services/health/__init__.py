"""The health room: which upstreams work.

What lives here: active checks (``prober``), what samples mean (``verdict``), what proxies report
(``passive``), and the board where standings are published (``board``). What does not: choosing
among upstreams, and the proxy's own passive checks; both are the proxy's.
"""
