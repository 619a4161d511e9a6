"""How good is the tester: seeded bugs that it has to find, correct variants that it must not accuse."""
