"""Why did it move: data faults, factors, onset, the segments that carry it, what it cost."""
