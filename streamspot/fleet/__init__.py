"""Sources leased to engines on many machines; only ``actors.py`` and ``control.py`` know Ray."""
