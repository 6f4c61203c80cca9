"""Online state in Redis: the shared order of events, and replicas that follow it. Only `link` knows
the client.
"""

from shroff.features.engines.online.redis.engine import RedisEngine
from shroff.features.engines.online.redis.filling import Filling, claim
from shroff.features.engines.online.redis.membership import Roll

__all__ = ["Filling", "RedisEngine", "Roll", "claim"]
