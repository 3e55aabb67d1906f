"""Publication of gold and the project's own tables to warehouses that others read."""
