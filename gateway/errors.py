"""What can go wrong with the gateway itself; what devices send wrong are values (gateway.refusal), not exceptions."""


class GatewayError(Exception):
    """The gateway cannot work; the text says what to do about it."""


class SettingsError(GatewayError):
    """A setting of the gateway is wrong: whoever wrote it can mend it."""
