"""What the manifest knows of object stores: who it is to them, what they said of each part, and where the parts are."""
