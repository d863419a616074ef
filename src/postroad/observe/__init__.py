"""What the server tells about itself: sessions, log, metrics."""
