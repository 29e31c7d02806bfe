"""The image, docker-compose.yml and a rollout, on a real Docker engine that the tests start."""
