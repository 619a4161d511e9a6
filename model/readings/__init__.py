"""Readings of the one formula: compiled Python, SMT-LIB, English."""
