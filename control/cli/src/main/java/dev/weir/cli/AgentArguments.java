package dev.weir.cli;

import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Option;

/** Flags for the agents of a lab that is to come up. */
final class AgentArguments {
  @Option(
      names = "--agent-arg",
      paramLabel = "ARG",
      description =
          "A flag for every agent, such as --agent-arg=--transport=epoll; any number of times.")
  List<String> arguments = new ArrayList<>();
}
