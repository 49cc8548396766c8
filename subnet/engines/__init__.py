"""Model engines, shared by miners and judges."""
