"""Online state in Redis: a shared order of events, and replicas that follow it."""

from shroff.features.engines.online.redis.engine import RedisEngine
from shroff.features.engines.online.redis.filling import Filling, claim
from shroff.features.engines.online.redis.membership import Membership

__all__ = ["Filling", "Membership", "RedisEngine", "claim"]
