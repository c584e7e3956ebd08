"""The custom resources as pydantic models, their conditions, and CRD generation."""
