"""What the program says about itself: logs, metrics, one access record per request."""
