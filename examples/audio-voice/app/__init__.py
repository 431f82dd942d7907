"""Audio Voice: text to speech over HTTP."""

__version__ = "3.0.0"
