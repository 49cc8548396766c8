"""Pure scoring: arguments in, numbers out."""
