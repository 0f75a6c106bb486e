"""The middle floor: knows events. Append, load, snapshots, the ordered feed, projections, integrity. No money."""
