"""What moved, why, and what it cost: statistics over the numbers that the metrics give."""
