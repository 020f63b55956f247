"""Go's ways with values: JSON, durations, sizes, numbers, stable sorting."""
