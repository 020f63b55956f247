"""The admin room: Caddy's admin API, and the one writer of the deployment's configuration.

What lives here: reading and changing the configuration over HTTP, who may do so from where, and
sharing a new revision with every process. What does not: validating or applying a revision (the
kernel's ConfigSwitch), and anything the data plane needs to serve.
"""
