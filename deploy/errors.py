"""What a person did wrong, in one sentence that says what to do next."""


class UserError(Exception):
    """Bad input or a machine that is not ready; its text is printed as it stands and the command exits with 1."""


class UsageError(UserError):
    """The command was typed wrongly, whatever the machine and the files are like: it exits with 2."""
