"""The operator: kopf handlers, the pure decisions, the manifests it makes, and the gateway."""
