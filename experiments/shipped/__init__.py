"""How the shipped weights were made and judged; see README.md in this folder."""
