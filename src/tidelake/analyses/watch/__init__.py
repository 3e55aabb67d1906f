"""What a look at a metric after a build finds: changes that are new, and levels that are met or missed."""
