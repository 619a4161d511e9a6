ALLOWED: dict[str, tuple[str, str]] = {}
