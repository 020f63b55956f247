"""Global options: one file for each group, and the table that finds them by name."""
