"""An Azure cloud over TLS for tests, demos and plans in pull requests."""
