"""The manifest: what is stored, what the source last said, and where each part's members begin."""

from ingest.cache.manifest.manifest import Manifest
from ingest.cache.manifest.records import Answer, Held, HeldVersion, RemoteState, SessionRecord

__all__ = ["Answer", "Held", "HeldVersion", "Manifest", "RemoteState", "SessionRecord"]
