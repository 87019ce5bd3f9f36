"""Request, listing and manifest become one decision a session; no body is fetched here."""
