"""How errors speak of what was sent; lenses speak the same way."""

from service.domain.wording import pointer, quoted

__all__ = ["pointer", "quoted"]
