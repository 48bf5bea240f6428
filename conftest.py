"""What pytest and nbval need to know about this project."""


def pytest_collectstart(collector) -> None:
    """Let nbval ignore standard error: TensorFlow's log lines differ from machine to machine."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
