"""Where the keys are kept."""

import os
from pathlib import Path


def credentials_file() -> Path:
    """The file that botocore reads profiles from."""
    return Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
