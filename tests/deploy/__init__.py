"""Deploying: against a stand-in of the Kubernetes API, and against any real cluster."""
