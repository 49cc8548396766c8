"""The wire between validators and miners: signed requests, signed answers."""
