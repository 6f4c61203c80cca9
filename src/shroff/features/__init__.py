"""Features: defined once as frozen values, computed by sibling engines with equal results."""
