"""What the room keeps beyond a moment: files, certificates by name, what the bus is to know."""
