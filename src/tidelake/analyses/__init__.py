"""Analyses: questions about numbers that need statistics; pure functions over Arrow tables and a small reader."""
