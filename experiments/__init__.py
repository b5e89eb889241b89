"""Outside the package: the paper's baselines, the tables of docs/results.md, the making of the weights."""
