"""One writer for a bucket: who it is, and the snapshots of its manifest."""
