"""Whether a cache is what its manifest says. Checks every part, CSV and refused file, and never writes."""

from ingest.maintenance.verify.cache import Verified, check_cache, verify
from ingest.maintenance.verify.problems import BROKEN, Problem

__all__ = ["BROKEN", "Problem", "Verified", "check_cache", "verify"]
