"""Folders kept the same, side by side: Quantum, Syncthing, Unison, rclone bisync; the same jobs for all."""
