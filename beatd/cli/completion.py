"""`beatd completion`: the script that teaches a shell to complete beatd's commands, options and entries."""

import click

from beatd.cli.complete import SHELLS
from beatd.cli.main import COMPLETING


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that makes TAB complete commands, options and entry names.

    \b
    bash   eval "$(beatd completion bash)"            in ~/.bashrc
    zsh    eval "$(beatd completion zsh)"             in ~/.zshrc, behind compinit
    fish   beatd completion fish | source             in ~/.config/fish/config.fish
    """
    click.echo(SHELLS[shell](ctx.find_root().command, {}, "beatd", COMPLETING).source(), nl=False)
