"""Whether a cache is what its manifest says. Looks at every part, CSV and refused file, and never writes."""

from ingest.verifying.cache import Verified, look, verify
from ingest.verifying.problems import BROKEN, Problem

__all__ = ["BROKEN", "Problem", "Verified", "look", "verify"]
