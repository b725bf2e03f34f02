"""The choices that closed questions were asked with."""


def closed_options(answer: str) -> tuple[str, str]:
    """The two options that the released evaluation puts behind a closed question, whatever its answer is.

    The released answer files end every closed question of VQA-RAD in "Please choose from the following two options:
    [yes, no]"; the options begin in upper case where the reference answer does, and closed questions whose answer is
    neither ("MRI", "left") were asked so too.

    >>> closed_options("yes"), closed_options("MRI")
    (('yes', 'no'), ('Yes', 'No'))
    """
    return ("Yes", "No") if answer[:1].isupper() else ("yes", "no")
