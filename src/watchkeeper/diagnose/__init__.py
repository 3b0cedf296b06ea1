"""From findings to an incident with its cause, category and report; abstains when evidence is thin."""
