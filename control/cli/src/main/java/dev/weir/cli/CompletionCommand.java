package dev.weir.cli;

import java.util.concurrent.Callable;
import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

@Command(
    name = "completion",
    mixinStandardHelpOptions = true,
    description = "Print a script that completes weir's commands and options in a shell.",
    footer = {
      "",
      "Examples:",
      "  source <(weir completion bash)",
      "  weir completion zsh > ~/.weir-completion && echo 'source ~/.weir-completion' >> ~/.zshrc"
    })
final class CompletionCommand implements Callable<Integer> {
  /** What the script is for. */
  enum Shell {
    bash,
    zsh
  }

  @Parameters(paramLabel = "SHELL", description = "One of ${COMPLETION-CANDIDATES}.")
  Shell shell = Shell.bash;

  private final Output output;

  CompletionCommand(Output output) {
    this.output = output;
  }

  @Override
  public Integer call() {
    if (shell == Shell.zsh) {
      output.line("autoload -Uz compinit bashcompinit && compinit && bashcompinit");
    }
    output.line(AutoComplete.bash("weir", Commands.all(output)));
    return 0;
  }
}
