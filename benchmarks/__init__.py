"""`mecsim bench`: what the project costs to run, as ratios that are measured in turn on the machine at hand."""
