"""Storage in Redis 6.2 or newer, alone or as a Redis Cluster."""

from service.adapters.redis.storage import RedisStorage

__all__ = ["RedisStorage"]
