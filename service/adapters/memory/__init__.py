"""Storage in this process's memory, for unit tests and as the model of the other backends."""

from service.adapters.memory.state import MemoryState
from service.adapters.memory.storage import MemoryStorage

__all__ = ["MemoryState", "MemoryStorage"]
