"""Honest clients of the same doors: a made-up city, its vehicles, riders and validators."""
