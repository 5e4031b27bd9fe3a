package dev.weir.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code weir lab agent, control}: start and end of the mesh's own processes, also by force. */
final class LabProcessCommands {
  private LabProcessCommands() {}

  @Command(
      name = "agent",
      mixinStandardHelpOptions = true,
      description = "Do something to a node's agent, to see what the mesh makes of it.",
      footer = {
        "",
        "kill is SIGKILL; upgrade starts a second agent that takes over from the first, and returns",
        "when it is in charge: no connection is refused or reset meanwhile. The first one finishes",
        "what it has, for an hour at most (--agent-arg=--drain=SECONDS at up), and shows as draining.",
        "stop lets open connections go on for 5 s (--agent-arg=--drain-alone=SECONDS).",
        "",
        "Examples:",
        "  weir lab agent node-1 kill",
        "  weir lab agent node-1 upgrade"
      })
  static final class Agent implements Callable<Integer> {
    /** What can be done. */
    enum AgentAction {
      stop,
      start,
      kill,
      restart,
      upgrade
    }

    @Mixin LabOption lab = new LabOption();

    @Parameters(index = "0", paramLabel = "NODE", description = "Whose agent.")
    String node = "";

    @Parameters(
        index = "1",
        paramLabel = "ACTION",
        description = "One of ${COMPLETION-CANDIDATES}.")
    AgentAction action = AgentAction.restart;

    private final Output output;

    Agent(Output output) {
      this.output = output;
    }

    @Override
    public Integer call() {
      lab.lab().agent(node, action.name());
      output.line("agent of " + node + ": " + action + " done");
      return 0;
    }
  }

  @Command(
      name = "control",
      mixinStandardHelpOptions = true,
      description = "Do something to the control plane, to see what the mesh makes of it.",
      footer = {"", "Example:", "  weir lab control kill"})
  static final class Control implements Callable<Integer> {
    /** What can be done. */
    enum ControlAction {
      stop,
      start,
      kill,
      restart
    }

    @Mixin LabOption lab = new LabOption();

    @Parameters(paramLabel = "ACTION", description = "One of ${COMPLETION-CANDIDATES}.")
    ControlAction action = ControlAction.restart;

    private final Output output;

    Control(Output output) {
      this.output = output;
    }

    @Override
    public Integer call() {
      lab.lab().control(action.name());
      output.line("control plane: " + action + " done");
      return 0;
    }
  }
}
