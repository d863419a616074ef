"""From 250 until the last recipient is settled: nothing that was acknowledged is lost."""
