"""flow-build-server: a CI/CD server in which the pipeline is the main entity."""
