"""What the process is told about memory."""

import gc

from postroad.net.memory import look_for_circles_seldom


class Circle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.other = self


def test_circles_that_come_later_are_still_found() -> None:
    before = gc.get_threshold()
    try:
        look_for_circles_seldom()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] > before[0]
        Circle()
        assert gc.collect() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
