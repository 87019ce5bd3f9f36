"""Sessions that are new, beside the others: which have a number of rows far from that of their neighbours."""

from collections.abc import Mapping
from datetime import date

from ingest.cache.manifest import Manifest
from ingest.cache.manifest.findings import Judgements
from ingest.finding import Finding


def compare_counts(manifest: Manifest) -> Mapping[date, Finding]:
    """Find all such sessions anew where any is new; returns what was found of the new ones, by date.

    To be called before the projection, after which no session is new: so a kill in between loses nothing. Raises
    CacheError.
    """
    new = manifest.pending()
    if not new:
        return {}
    from ingest.splitting.checks import far_counts  # polars and numpy, which a run with nothing to do does without

    judgements = Judgements(manifest)
    far = far_counts(judgements.row_counts())
    judgements.find_far_counts(far)
    return {session: far[session] for session in sorted(new & far.keys())}
