"""The tests: unit and contract suites, HTTP, workers, deployment, and their shared fakes and servers."""
