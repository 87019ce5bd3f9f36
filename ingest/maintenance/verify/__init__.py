"""Whether a cache is what its manifest says. Looks at every part, CSV and refused file, and never writes."""

from ingest.maintenance.verify.cache import Verified, look, verify
from ingest.maintenance.verify.problems import BROKEN, Problem

__all__ = ["BROKEN", "Problem", "Verified", "look", "verify"]
