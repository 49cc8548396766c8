"""The command line: one module a verb, and one writer."""
