"""botocore's descriptions of services, parsed once in a process: for each client it would take a tenth of a second."""

from unittest.mock import patch

import botocore
from botocore.loaders import JSONFileLoader


def parsed_once():
    """A patch below all loaders, whoever makes them; files that are not botocore's own are read each time."""
    original, known = JSONFileLoader.load_file, {}

    def load_file(loader, path):
        if not str(path).startswith(botocore.BOTOCORE_ROOT):
            return original(loader, path)
        if path not in known:
            known[path] = original(loader, path)
        return known[path]

    return patch.object(JSONFileLoader, "load_file", load_file)
