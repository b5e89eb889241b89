"""Outside the package: the paper's ablations and baselines, the tables of docs/results.md, the weights' making."""
