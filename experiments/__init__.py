"""The paper's baselines, tables and ablations, and the making of the shipped weights: outside the package."""
