"""What a service says while it works: warnings, notes in the log `tempera`, progress by tqdm where it is installed."""

import logging
import sys
import warnings

from ._errors import TemperaWarning

log = logging.getLogger("tempera")


def _shows_progress(wanted):
    if wanted is not None:
        return bool(wanted)
    return sys.stderr is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules)


class Listener:
    """Hears a service. progress: True, False, or None for a bar on terminals and in notebooks."""

    def __init__(self, progress=None, on_report=None):
        self._on_report = on_report
        self._bar = None
        self._stage = None
        self._tqdm = None
        if _shows_progress(progress):
            try:
                from tqdm.auto import tqdm

                self._tqdm = tqdm
            except ImportError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end()

    def warn(self, words):
        warnings.warn(words, TemperaWarning, stacklevel=3)

    def note(self, words):
        log.info(words)

    def reading(self, file, fraction):
        self.progress(f"reading {file}", fraction, "")

    def progress(self, stage, fraction, detail):
        if self._tqdm is None:
            return
        if stage != self._stage or fraction * 1000 < self._bar.n:
            self._end()
            self._stage = stage
            self._bar = self._tqdm(total=1000, desc=stage, leave=False, bar_format="{desc} {percentage:3.0f} %|{bar}| {remaining} left{postfix}")
        self._bar.set_postfix_str(detail, refresh=False)
        self._bar.update(int(fraction * 1000) - self._bar.n)

    def report(self, row):
        return self._on_report is None or self._on_report(row) is not False

    def _end(self):
        if self._bar is not None:
            self._bar.close()
        self._bar = self._stage = None
