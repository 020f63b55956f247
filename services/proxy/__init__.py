"""The proxy room: load balancing to upstreams."""
