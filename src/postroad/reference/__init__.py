"""The status reference: pages, Markdown and transcripts made of the catalogue."""
