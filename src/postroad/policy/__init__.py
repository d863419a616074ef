"""Who decides what, at which stage of a session."""
