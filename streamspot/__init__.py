"""streamspot: facial-expression spotting as a live stream."""

__version__ = "0.1.0"
