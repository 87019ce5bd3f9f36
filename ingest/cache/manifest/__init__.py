"""The manifest: what is done, what the source last said, and where each part's members lie."""

from ingest.cache.manifest.manifest import Manifest
from ingest.cache.manifest.records import Answer, Held, RemoteState, Replaced, SessionRecord

__all__ = ["Answer", "Held", "Manifest", "RemoteState", "Replaced", "SessionRecord"]
