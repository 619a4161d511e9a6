"""Drivers that connect a system under test."""
