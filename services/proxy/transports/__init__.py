"""How the proxy talks to an upstream: one file per transport."""
