"""The HTTP API and the page. Holds no logic of its own."""
