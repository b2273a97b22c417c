"""The state of the fleet against the timetable: matching, passages, headways, arrivals and alerts, once a tick."""
