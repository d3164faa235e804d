"""Former names of options, understood for one version with a warning that says the new one."""

from repose.cli.terminal import error_console

FORMER_OPTIONS = {
    "evaluate": {"--plot": "--figure"},
    "export": {"--model": "--osim"},
    "prepare": {"--cameras": "--views"},
    "render": {"--height": "--height-px", "--frames": "--sheet-frames"},
    "train": {
        "--skeleton": "--target-skeleton",
        "32-true": "float32",
        "bf16-mixed": "bfloat16",
    },
}
"""Command -> option or value in version 0.1 -> what it is now. To go in 0.3."""


def understand_former_names(command: str, arguments: list[str]) -> list[str]:
    """Return the command's arguments with present names in place of former ones; warn of each."""
    former = FORMER_OPTIONS.get(command, {})
    present = []
    for argument in arguments:
        parts = argument.split("=", 1)
        for name in filter(former.__contains__, parts):
            error_console.print(
                f"[yellow]Warning:[/] {name} of repose {command} is called {former[name]} now; the former "
                "name will not be understood from version 0.3 on.",
                soft_wrap=True,
                highlight=False,
            )
        present.append("=".join(former.get(part, part) for part in parts))
    return present
