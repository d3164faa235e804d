"""Published data sets, the clip store and its doctor."""
