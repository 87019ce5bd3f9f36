"""What the demo, the tests and the benchmarks run on: made-up flat files and S3 servers on loopback."""
