"""The one error for everything that a user can mend."""


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one line that names what arrived, what was expected and what to do. The command
    line prints it without a traceback.
    """
