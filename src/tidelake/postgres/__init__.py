"""PostgreSQL, as a place that rows come from and go to: connections, names, and errors that keep secrets."""
