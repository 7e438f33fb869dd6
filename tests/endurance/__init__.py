"""Long runs of whole fleets: an outage of minutes, rolling restarts, hours of load. ``make endure`` runs them all."""
