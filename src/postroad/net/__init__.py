"""The wire: names to addresses, TLS, and one SMTP conversation as a client."""
