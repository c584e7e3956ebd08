"""The sync Job's work: reads the snapshot and secrets, drives the engine, reports."""
