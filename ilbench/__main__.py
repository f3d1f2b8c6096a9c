"""The `ilbench` command, and `python -m ilbench`: what must be in force before anything is loaded, and after the last output."""


def main() -> None:
    """Entry point of the command."""
    from ilbench.running import interrupt

    interrupt.early()
    from ilbench import cli

    try:
        cli.main()
    except SystemExit as stop:
        interrupt.over(stop.code)
        raise


if __name__ == "__main__":
    main()
