"""The machinery: search, induction, Horn clauses, certificates. A reader who checks the promises need not read it."""
