"""An audit of one epoch of one validator: what it published, against the chain."""

from validators.audit.epoch import audit, open_judge
from validators.audit.findings import Audit, Difference, Flaw, Leak

__all__ = ["Audit", "Difference", "Flaw", "Leak", "audit", "open_judge"]
