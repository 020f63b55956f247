"""The health room: active checks of upstreams."""
