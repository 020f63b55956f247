"""How often, and how many at a time: ``http.handlers.rate_limit``."""
