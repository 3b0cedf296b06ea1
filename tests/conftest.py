"""What holds for every test."""

import signal

# A shell that starts the tests in the background has them ignore SIGINT, and so would every program that they start;
# the tests of Ctrl-C need it as a terminal gives it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
