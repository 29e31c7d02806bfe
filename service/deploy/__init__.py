"""Bring an overlay to a Kubernetes cluster, or put back what ran before.

`service.deploy.commands` is what the command line mounts; it imports the rest, and with it the
Kubernetes client (the extra `deploy`), only when a command runs.
"""
