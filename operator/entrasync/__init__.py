"""Entrasync: declarative Microsoft Entra Connect Sync for Kubernetes."""

__version__ = "0.1.0"
