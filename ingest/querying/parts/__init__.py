"""The rows of parts as a query scans them: group by group, so memory does not grow with the sessions."""
