"""The admin room: the config API and the dashboard."""
