"""Holds an implementation against the model: drivers, oracle, engines, shrinker, reports and the command line."""
