"""The manifest: what is done, what the source last said, and where each part's members lie."""

from ingest.manifest.records import Answer, Held, RemoteState, Replaced, SessionRecord
from ingest.manifest.store import Manifest

__all__ = ["Answer", "Held", "Manifest", "RemoteState", "Replaced", "SessionRecord"]
