"""The rooms: seven services that share the kernel and never import one another."""
