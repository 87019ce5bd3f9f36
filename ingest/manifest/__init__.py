"""The manifest: what is done, what the source last said, and where each part's members lie."""

from ingest.manifest.records import Answer, Correction, Held, RemoteState, Replaced, SessionRecord
from ingest.manifest.store import Manifest

__all__ = ["Answer", "Correction", "Held", "Manifest", "RemoteState", "Replaced", "SessionRecord"]
