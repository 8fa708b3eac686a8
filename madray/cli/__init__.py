"""The command line. Each command loads what it needs when it runs, so that `--help` is there at once."""

from __future__ import annotations

import os
import sys

import typer

from madray.cli.keeping import export, gc, import_, remove
from madray.cli.looking import schema, status, table, verify
from madray.cli.submitting import submit
from madray.cli.sweeps import resume, sweep
from madray.errors import MadrayError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Train chains of generative models on their own output, and see what happens.",
)
for command in (sweep, resume, submit, status, table, schema, verify, gc, remove, export):
    app.command()(command)
app.command("import")(import_)


def main() -> None:
    """The entry point: errors a user can act on are one line, all else keeps its traceback."""
    # As with `python -m`, so that a module beside the sweep file can be named in it.
    sys.path.insert(0, os.getcwd())
    try:
        left = app(standalone_mode=False)  # the exit code, where a command raised typer.Exit
        sys.exit(left if isinstance(left, int) else 0)
    except MadrayError as error:
        print(f"madray: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:
        usage = getattr(error, "format_message", None)  # click's own: a wrong option or argument
        if usage is None:
            raise
        print(f"madray: {usage()}; try madray --help", file=sys.stderr)
        sys.exit(2)
