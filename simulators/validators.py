"""Moved: what a validator keeps of its taps is `simulators.validator_library.kept_taps`."""
