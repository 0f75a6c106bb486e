"""What the bank is doing right now, for somebody who looks for a fault; and the cleanup."""
