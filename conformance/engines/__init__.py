"""Engines: who chooses the commands. All work on `Session`s, so whatever they find is a case that replays and shrinks."""
