"""Store: feature tables at rest, versioned, on Delta Lake: local disk by default, object storage by its URL.

Every write of a feature group is a version that stays readable; what was written says which definition it
was computed by, so that a table is never read as something it is not.
"""

from shroff.store.tables import FeatureStore, Version

__all__ = ["FeatureStore", "Version"]
