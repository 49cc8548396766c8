"""Complete example subnets, copied by authors and used by the demo."""
