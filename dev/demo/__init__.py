"""The demo: a whole company from Active Directory to Entra on one machine."""
