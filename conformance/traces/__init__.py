"""Recorded runs: their format, the recorder, the check, and the import of job lists."""
