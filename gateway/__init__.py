"""Vehicles and validators over MQTT: clean columns of positions to dispatch, clean taps to ticketing, answers back."""
