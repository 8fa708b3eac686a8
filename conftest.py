"""All tests run numerical libraries in one thread.

In several processes that each take all cores, threads wait for each other, and the suite takes four times as
long. It is here, and not in `tests`, so that it is read before anything imports NumPy or torch, also for
doctests alone.
"""

import os

from madray.engine.threads import thread_variables

os.environ.update(thread_variables(1))
