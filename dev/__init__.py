"""Development tools: the local cluster, the images, the demo and generated files."""
