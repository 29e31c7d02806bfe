"""The verbs of the service: load, read, change, query, run a job. They speak ports only."""
