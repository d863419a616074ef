"""The web pages and the JSON API, over postroad.admin alone."""
