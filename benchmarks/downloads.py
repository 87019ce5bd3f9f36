"""The commands that download for the scripts of other tools, and the environment in which they find the keys."""

from collections.abc import Mapping

from benchmarks.stage import PROFILE, Bench, program


def s5cmd(bench: Bench, prefix: str) -> list[str]:
    """Download all files below a prefix of the bucket into one folder; the caller appends its name."""
    source = f"s3://{bench.server.bucket}/{prefix}/*"
    return [program("s5cmd"), "--endpoint-url", bench.server.endpoint_url, "--log", "error", "cp", "--flatten", source]


def rclone(bench: Bench, prefix: str) -> list[str]:
    """Download all files below a prefix of the bucket; the folders of years and months stay as they are."""
    flags = ("--transfers", "32", "--checkers", "32", "--fast-list")
    return [program("rclone"), "copy", *flags, f"massive:{bench.server.bucket}/{prefix}"]


def environment(bench: Bench) -> Mapping[str, str]:
    """Where both find the keys, and rclone its remote `massive`; it reads no configuration file."""
    remote = {"TYPE": "s3", "PROVIDER": "Other", "ENV_AUTH": "true", "ENDPOINT": bench.server.endpoint_url}
    keys = {"AWS_SHARED_CREDENTIALS_FILE": str(bench.keys), "AWS_PROFILE": PROFILE, "AWS_REGION": "us-east-1"}
    return {**keys, "RCLONE_CONFIG": "", **{f"RCLONE_CONFIG_MASSIVE_{name}": value for name, value in remote.items()}}
