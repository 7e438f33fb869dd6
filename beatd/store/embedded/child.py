"""Becomes the private server's process: ``python child.py PARENT_PID BINARY ARGUMENT...``; never imported.

Between fork and exec the kernel is asked to send SIGTERM when the thread that forked us ends, which for the main
thread means: when the daemon ends, by whatever death. An own program rather than a ``preexec_fn``, because Python code
in a forked child of a process with threads can deadlock.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Ties this process's life to the parent's; exits when the parent is gone already. Linux only, else nothing."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0):
        sys.exit(f"prctl(PR_SET_PDEATHSIG) was refused: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the kernel knew of the wish, so no signal will come
        sys.exit("the daemon ended before its server was started")


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a mask survives exec: a blocked SIGTERM would make it unstoppable
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - becoming another program is its purpose
