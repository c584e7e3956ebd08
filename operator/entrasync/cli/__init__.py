"""The `entrasync` command."""
