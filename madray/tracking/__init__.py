"""MLflow: curves, pictures and settings of a sweep, written from one thread that follows the ledger.

An experiment is named after the sweep; in it, one parent run stands for the sweep and one child run for each
chain, or batch of calculations, found again by their tags. Importing this loads no MLflow.
"""

from madray.tracking.runs import State
from madray.tracking.tracker import Tracker
from madray.tracking.uris import check_uri, default_uri, ui_command

__all__ = ["State", "Tracker", "check_uri", "default_uri", "ui_command"]
