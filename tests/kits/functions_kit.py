"""The public functions of the package, by the names under which a program calls them."""

import inspect

import ingest


def public_functions():
    """Those of a namespace under its name and theirs: `track.add`."""
    found = {}
    for name in ingest.__all__:
        one = getattr(ingest, name)
        if not inspect.ismodule(one):
            found[name] = one
            continue
        for inner, function in inspect.getmembers(one, inspect.isfunction):
            if function.__module__ == one.__name__ and not inner.startswith("_"):
                found[f"{name}.{inner}"] = function
    return found
