"""Connector spaces and checkpoints of one sync, in SQLite."""
