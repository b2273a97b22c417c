"""The benchmarks: each figure of ours beside its limit, measured in the same run."""
